type Paint = (text: string) => string;
const same: Paint = (text) => text;

export type Row = readonly (string | number | null | undefined)[];

/** Columns as wide as they must be; numbers to the right, nothing as `-`. */
export function tableText(
  head: readonly string[],
  rows: readonly Row[],
  { paintHead = same, paintCell = same }: { paintHead?: Paint; paintCell?: Paint } = {},
): string {
  const cells = rows.map((row) =>
    row.map((cell) => (cell === null || cell === undefined || cell === '' ? '-' : oneLine(String(cell)))),
  );
  const widths = head.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at]?.length ?? 0)));
  const numeric = head.map((_, at) => isNumeric(rows.map((row) => row[at])));
  const line = (texts: readonly string[], paint: Paint): string =>
    texts
      .map((text, at) => {
        const gap = ' '.repeat(Math.max(0, (widths[at] ?? 0) - text.length));
        return numeric[at] ? gap + paint(text) : paint(text) + gap;
      })
      .join('  ')
      .trimEnd();
  return [line(head, paintHead), ...cells.map((row) => line(row, paintCell))].join('\n');
}

function isNumeric(cells: Row): boolean {
  const known = cells.filter((cell) => cell !== null && cell !== undefined);
  return known.length > 0 && known.every((cell) => typeof cell === 'number');
}

/** Names and values below each other. */
export function recordText(record: Readonly<Record<string, unknown>>): string {
  const width = Math.max(...Object.keys(record).map((name) => name.length));
  return Object.entries(record)
    .map(([name, value]) => `${name.padEnd(width)}  ${valueText(value)}`)
    .join('\n');
}

function valueText(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (Array.isArray(value) && value.every((each) => typeof each !== 'object')) return value.join(', ') || '-';
  return typeof value === 'object'
    ? JSON.stringify(value)
    : oneLine(String(value as string | number | boolean));
}

/** Nothing that a server says may move the cursor or start a new row. */
function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it is for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}

/** `12.3 ms`, or `-` for none. */
export function durationText(time_ms: number | null): string {
  return time_ms === null ? '-' : `${time_ms.toFixed(1)} ms`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  for (; value >= 1024 && unit < UNITS.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
