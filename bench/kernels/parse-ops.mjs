/**
 * One measured line of lorikeet_bench.
 * @typedef {object} OpRow
 * @property {string} group  the op and the heading above it, e.g. "linear" or "attention, KV cache in bf16"
 * @property {string} label  shape and rows
 * @property {Record<string, number>} values  by unit or name: us, GFLOP/s, GB/s, ...
 */

/** A number and what it is: `12.3 us`, `31.4 GFLOP/s (0.21)`, `0.97 of the time`. */
const QUANTITY =
  /(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?) (us|ms|ns|GFLOP\/s|GOP\/s|Gop\/s|GB\/s|of the time)(?: \((-?\d+(?:\.\d+)?)(?: of (-?\d+(?:\.\d+)?))?\))?/g;

const TIME = /\d (us|ms|ns)\b/;

/**
 * Reads the program's text: it is written for people, so a line is taken by its quantities, whatever their order.
 * A line without a time is the heading of those below it.
 * @param {string} output
 * @returns {{ rows: OpRow[], headings: string[] }}
 */
export function parseOpsOutput(output) {
  /** @type {OpRow[]} */
  const rows = [];
  const headings = [];
  let heading = '';
  for (const line of output.split('\n').filter((one) => one.trim() !== '')) {
    const first = line.search(QUANTITY);
    if (!TIME.test(line) || first < 0) {
      heading = line.trim();
      headings.push(heading);
      continue;
    }
    const label = line
      .slice(0, first)
      .replace(/[:\s]+$/, '')
      .trim();
    const op = /^[a-z_]+/i.exec(label)?.[0] ?? 'linear';
    rows.push({
      group: [op, heading].filter(Boolean).join(', '),
      label,
      values: quantities(line.slice(first)),
    });
  }
  return { rows, headings };
}

/** @param {string} text */
function quantities(text) {
  /** @type {Record<string, number>} */
  const values = {};
  let from = 0;
  for (const match of text.matchAll(QUANTITY)) {
    const [, value, unit = '', share, whole] = match;
    // A word before a quantity names it, where the unit alone would come twice ("rope_kv 7.1 us").
    const named = /([a-z_][\w ]*?):?\s*$/i.exec(text.slice(from, match.index).replace(/^[\s;,]+/, ''))?.[1];
    const name = values[unit] === undefined && !named ? unit : `${named ?? ''} ${unit}`.trim();
    values[name] = Number(value);
    if (share !== undefined) values[`${name} share`] = Number(share);
    if (whole !== undefined) values[`${name} measured`] = Number(whole);
    from = match.index + match[0].length;
  }
  return values;
}
