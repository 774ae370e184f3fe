/*
 * Line charts as SVG text: one panel for each quantity over the same x. Colours work on light and dark backgrounds.
 */
const WIDTH = 720;
const PANEL_HEIGHT = 220;
const MARGIN = { left: 70, right: 150, top: 34, bottom: 40 };
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

/**
 * Lines of one `group` have one colour; the second of them is dashed.
 * @typedef {{ group: string, name: string, points: readonly (readonly [x: number, y: number])[] }} Line
 */
/**
 * `limit` is a dashed line across; what lies above `cut` is cut off and said to be.
 * @typedef {{ title: string, unit: string, lines: readonly Line[], limit?: number, cut?: number }} Panel
 */
/** `marks`: vertical lines in the colour of their group. @typedef {{ group: string, x: number, label: string }} Mark */
/** @typedef {{ title: string, xLabel: string, marks: readonly Mark[], panels: readonly Panel[] }} Chart */
/** @typedef {{ x: Scale, y: Scale, left: number, right: number, top: number, bottom: number, colourOf: (group: string) => string }} Frame */

/** @param {Chart} chart @returns {string} */
export function svgChart({ title, xLabel, marks, panels }) {
  const xs = panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x)));
  const x = scale(
    [0, Math.max(0, ...xs, ...marks.map((mark) => mark.x))],
    [MARGIN.left, WIDTH - MARGIN.right],
  );
  const groups = [...new Set(panels.flatMap(({ lines }) => lines.map(({ group }) => group)))];
  const colourOf = (/** @type {string} */ group) => COLOURS[groups.indexOf(group) % COLOURS.length] ?? '#000';
  const height = panels.length * PANEL_HEIGHT + 30;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="${WIDTH / 2}" y="20" text-anchor="middle" font-size="15">${escapeXml(title)}</text>`,
    ...panels.map((panel, index) => drawPanel(panel, index, { x, marks, colourOf })),
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${height - 6}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/** @param {Panel} panel @param {number} index @param {{ x: Scale, marks: readonly Mark[], colourOf: Frame['colourOf'] }} shared */
function drawPanel({ title, unit, lines, limit, cut }, index, { x, marks, colourOf }) {
  const above = 30 + index * PANEL_HEIGHT;
  const [top, bottom] = [above + MARGIN.top, above + PANEL_HEIGHT - MARGIN.bottom];
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const most = Math.max(0, ...ys, limit ?? 0) || 1;
  const y = scale([0, Math.min(most, cut ?? most)], [bottom, top]);
  const frame = { x, y, left: MARGIN.left, right: WIDTH - MARGIN.right, top, bottom, colourOf };
  const note = y.domain[1] < most ? `, cut off above ${y.domain[1]}` : '';
  const clip = `panel${index}`;
  return [
    `<text x="${frame.left}" y="${above + 20}" font-weight="bold">${escapeXml(`${title} (${unit}${note})`)}</text>`,
    ...drawAxes(frame),
    ...(limit === undefined ? [] : [dashed([frame.left, y(limit)], [frame.right, y(limit)], '#888')]),
    ...(limit === undefined ? [] : [label([frame.left + 4, y(limit) - 4], 'limit', '#666')]),
    ...marks.map((mark) => dashed([x(mark.x), top], [x(mark.x), bottom], colourOf(mark.group))),
    `<clipPath id="${clip}"><rect x="${frame.left}" y="${top - 4}" width="${frame.right - frame.left + 4}" height="${bottom - top + 8}"/></clipPath>`,
    `<g clip-path="url(#${clip})">`,
    ...lines.flatMap((line) => drawLine(line, lines, frame)),
    '</g>',
    ...lines.map((line, place) =>
      label(
        [frame.right + 12, top + 12 + place * 16],
        `${line.name}${isSecond(line, lines) ? ' (dashed)' : ''}`,
        colourOf(line.group),
      ),
    ),
    ...(index > 0 ? [] : marks).map((mark, place) =>
      label([frame.right + 12, top + 20 + (lines.length + place) * 16], mark.label, colourOf(mark.group)),
    ),
  ].join('\n');
}

/** @param {Frame} frame */
function drawAxes({ x, y, left, right, bottom }) {
  return [
    ...niceTicks(y.domain[1], 4).flatMap((tick) => [
      `<line x1="${left}" x2="${right}" y1="${px(y(tick))}" y2="${px(y(tick))}" stroke="#ddd"/>`,
      `<text x="${left - 6}" y="${px(y(tick) + 4)}" text-anchor="end">${tick}</text>`,
    ]),
    ...niceTicks(x.domain[1], 8).map(
      (tick) => `<text x="${px(x(tick))}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`,
    ),
  ];
}

/** @param {Line} line @param {readonly Line[]} lines */
const isSecond = ({ group, name }, lines) => lines.find((line) => line.group === group)?.name !== name;

/** @param {Line} line @param {readonly Line[]} lines @param {Frame} frame */
function drawLine(line, lines, { x, y, colourOf }) {
  const colour = colourOf(line.group);
  const places = [...line.points].sort((a, b) => a[0] - b[0]).map(([at, value]) => [px(x(at)), px(y(value))]);
  const dash = isSecond(line, lines) ? ' stroke-dasharray="3 3"' : '';
  return [
    `<polyline points="${places.map((place) => place.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
    ...places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`),
  ];
}

/** @param {readonly [number, number]} from @param {readonly [number, number]} to @param {string} colour */
function dashed([x1, y1], [x2, y2], colour) {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" stroke="${colour}" stroke-dasharray="6 5"/>`;
}

/** @param {readonly [number, number]} at @param {string} text @param {string} colour */
const label = ([x, y], text, colour) =>
  `<text x="${px(x)}" y="${px(y)}" fill="${colour}">${escapeXml(text)}</text>`;

/** @typedef {((value: number) => number) & { domain: readonly [number, number] }} Scale */

/** @param {readonly [number, number]} domain @param {readonly [number, number]} range @returns {Scale} */
function scale(domain, range) {
  const width = domain[1] - domain[0] || 1;
  const map = (/** @type {number} */ value) =>
    range[0] + ((value - domain[0]) / width) * (range[1] - range[0]);
  return Object.assign(map, { domain });
}

/** Round numbers from 0 up to `most`, about `count` of them. @param {number} most @param {number} count */
export function niceTicks(most, count) {
  if (!(most > 0) || !Number.isFinite(most)) return [0];
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * /** @type {number} */ ([1, 2, 5, 10].find((nice) => nice * power >= rough));
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) =>
    Number((i * step).toPrecision(12)),
  );
}

/** @param {number} value */
const px = (value) => Number(value.toFixed(1));

/** @param {string} text */
export function escapeXml(text) {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
