/*
 * Line charts as SVG text: one panel for each quantity over the same x. Colours work on light and dark backgrounds.
 */
const WIDTH = 720;
const PANEL_HEIGHT = 220;
const MARGIN = { left: 70, right: 150, top: 34, bottom: 40 };
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

/** @typedef {{ name: string, points: readonly (readonly [x: number, y: number])[] }} Line */
/** @typedef {{ title: string, unit: string, lines: readonly Line[], limit?: number }} Panel  `limit`: a dashed line */
/** @typedef {{ title: string, xLabel: string, mark?: { x: number, label: string }, panels: readonly Panel[] }} Chart */

/** @param {Chart} chart @returns {string} */
export function svgChart({ title, xLabel, mark, panels }) {
  const xs = panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x)));
  const x = scale([0, Math.max(...xs, mark?.x ?? 0)], [MARGIN.left, WIDTH - MARGIN.right]);
  const height = panels.length * PANEL_HEIGHT + 30;
  const drawn = panels.map((panel, index) => drawPanel(panel, 30 + index * PANEL_HEIGHT, x, mark));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="${WIDTH / 2}" y="20" text-anchor="middle" font-size="15">${escapeXml(title)}</text>`,
    ...drawn,
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${height - 6}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/** @param {Panel} panel @param {number} top @param {Scale} x @param {Chart['mark']} mark */
function drawPanel({ title, unit, lines, limit }, top, x, mark) {
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const bottom = top + PANEL_HEIGHT - MARGIN.bottom;
  const y = scale([0, Math.max(...ys, limit ?? 0) || 1], [bottom, top + MARGIN.top]);
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const parts = [
    `<text x="${left}" y="${top + 20}" font-weight="bold">${escapeXml(`${title} (${unit})`)}</text>`,
  ];
  for (const tick of niceTicks(y.domain[1], 4)) {
    parts.push(
      `<line x1="${left}" x2="${right}" y1="${px(y(tick))}" y2="${px(y(tick))}" stroke="#ddd"/>`,
      `<text x="${left - 6}" y="${px(y(tick) + 4)}" text-anchor="end">${tick}</text>`,
    );
  }
  for (const tick of niceTicks(x.domain[1], 8)) {
    parts.push(`<text x="${px(x(tick))}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`);
  }
  if (limit !== undefined)
    parts.push(dashed(left, y(limit), right, y(limit), 'limit', right + 4, y(limit) + 4));
  if (mark)
    parts.push(
      dashed(x(mark.x), top + MARGIN.top, x(mark.x), bottom, mark.label, x(mark.x) + 4, top + MARGIN.top),
    );
  lines.forEach((line, index) => parts.push(...drawLine(line, index, { x, y, right, top })));
  return parts.join('\n');
}

/** @param {Line} line @param {number} index @param {{ x: Scale, y: Scale, right: number, top: number }} frame */
function drawLine({ name, points }, index, { x, y, right, top }) {
  const colour = COLOURS[index % COLOURS.length];
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const path = sorted.map(([px_, py]) => `${px(x(px_))},${px(y(py))}`).join(' ');
  const at = top + MARGIN.top + 18 + index * 16;
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...sorted.map(([cx, cy]) => `<circle cx="${px(x(cx))}" cy="${px(y(cy))}" r="3" fill="${colour}"/>`),
    `<text x="${right + 12}" y="${at}" fill="${colour}">${escapeXml(name)}</text>`,
  ];
}

/** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} label @param {number} tx @param {number} ty */
function dashed(x1, y1, x2, y2, label, tx, ty) {
  return (
    `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" stroke="#888" stroke-dasharray="5 4"/>` +
    `<text x="${px(tx)}" y="${px(ty)}" fill="#666">${escapeXml(label)}</text>`
  );
}

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
