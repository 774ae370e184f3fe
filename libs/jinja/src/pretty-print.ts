import { sortedBy } from './comparison.js';
import { repr } from './representation.js';
import { concatenate, isText, lengthOf, plain, type Text, TextBuilder } from './text.js';
import { Dict, Tuple, type Value } from './values.js';

const WIDTH = 80;

/** Python's pprint.pformat, but for texts too long for a line, which it would cut into pieces. */
export function prettyPrint(value: Value): Text {
  const out = new TextBuilder();
  write(sortedKeys(value), 0, 0, out);
  return out.finish();
}

function sortedKeys(value: Value): Value {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (value instanceof Tuple) return new Tuple(value.items.map(sortedKeys));
  if (!(value instanceof Dict)) return value;
  const entries = sortedBy(value.entries(), ([key]) => (isText(key) ? key : repr(key)), false);
  return Dict.of(entries.map(([key, item]) => [key, sortedKeys(item)]));
}

/** `indent`: columns before the value; `allowance`: what follows it on its last line. */
function write(value: Value, indent: number, allowance: number, out: TextBuilder): void {
  const whole = repr(value);
  const isContainer = Array.isArray(value) || value instanceof Tuple || value instanceof Dict;
  if (!isContainer || lengthOf(whole) <= WIDTH - indent - allowance || plain(whole).length <= 2) {
    out.push(whole);
    return;
  }
  if (value instanceof Dict) writeDict(value, indent, allowance, out);
  else writeItems(value, indent, allowance, out);
}

function writeDict(dict: Dict, indent: number, allowance: number, out: TextBuilder): void {
  const entries = dict.entries();
  out.push('{');
  for (const [i, [key, value]] of entries.entries()) {
    if (i > 0) out.push(`,\n${' '.repeat(indent + 1)}`);
    const name = concatenate([repr(key), ': ']);
    out.push(name);
    const isLast = i === entries.length - 1;
    write(value, indent + 1 + lengthOf(name), isLast ? allowance + 1 : 1, out);
  }
  out.push('}');
}

function writeItems(value: Value[] | Tuple, indent: number, allowance: number, out: TextBuilder): void {
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['(', value.items.length === 1 ? ',)' : ')'];
  const items = Array.isArray(value) ? value : value.items;
  out.push(open);
  for (const [i, item] of items.entries()) {
    if (i > 0) out.push(`,\n${' '.repeat(indent + 1)}`);
    write(item, indent + 1, i === items.length - 1 ? allowance + close.length : 1, out);
  }
  out.push(close);
}
