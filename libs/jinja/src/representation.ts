import { isText, type MarkedText, marksOf, plain, type Text, TextBuilder, marked } from './text.js';
import { Dict, DictView, Tuple, Undefined, type Value } from './values.js';

/** Python's str(). */
export function str(value: Value): Text {
  if (isText(value)) return value;
  if (value instanceof Undefined) return '';
  return repr(value);
}

/** Python's repr(). */
export function repr(value: Value): Text {
  if (!isContainer(value)) return reprOfOne(value);
  const out = new TextBuilder();
  writeRepr(value, out, new Set());
  return out.finish();
}

type Container = Value[] | Tuple | Dict | DictView;

function isContainer(value: Value): value is Container {
  return Array.isArray(value) || value instanceof Tuple || value instanceof Dict || value instanceof DictView;
}

function reprOfOne(value: Exclude<Value, Container>): Text {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return reprFloat(value);
  if (isText(value)) return reprText(value);
  return value.repr();
}

function writeRepr(value: Value, out: TextBuilder, open: Set<Container>): void {
  if (!isContainer(value)) {
    out.push(reprOfOne(value));
    return;
  }
  if (value instanceof DictView) {
    out.push(`${value.typeName}(`);
    writeRepr(value.items(), out, open);
    out.push(')');
    return;
  }
  if (open.has(value)) {
    out.push(value instanceof Dict ? '{...}' : '[...]');
    return;
  }
  open.add(value);
  if (value instanceof Dict) writeDict(value, out, open);
  else writeItems(value, out, open);
  open.delete(value);
}

function writeItems(value: Value[] | Tuple, out: TextBuilder, open: Set<Container>): void {
  const isList = Array.isArray(value);
  const items = isList ? value : value.items;
  out.push(isList ? '[' : '(');
  for (const [i, item] of items.entries()) {
    if (i > 0) out.push(', ');
    writeRepr(item, out, open);
  }
  out.push(isList ? ']' : items.length === 1 ? ',)' : ')');
}

function writeDict(value: Dict, out: TextBuilder, open: Set<Container>): void {
  out.push('{');
  for (const [i, [key, item]] of value.entries().entries()) {
    if (i > 0) out.push(', ');
    writeRepr(key, out, open);
    out.push(': ');
    writeRepr(item, out, open);
  }
  out.push('}');
}

/** The shortest text that reads back as the same float, in Python's spelling. */
export function reprFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const { digits, exponent, sign } = decimalOf(value);
  if (exponent < -4 || exponent >= 16) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    const size = Math.abs(exponent).toString().padStart(2, '0');
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** Shortest significant digits and the power of ten of the first. */
function decimalOf(value: number): { digits: string; exponent: number; sign: string } {
  const [mantissa = '0', exponent = '0'] = Math.abs(value).toExponential().split('e');
  return { digits: mantissa.replace('.', ''), exponent: Number(exponent), sign: value < 0 ? '-' : '' };
}

/** Python quotes with ' unless the text holds ' and no ". */
export function reprText(value: Text): Text {
  const text = plain(value);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  if (marksOf(value).length === 0) return `${quote}${escapeText(text, quote)}${quote}`;
  const out = new TextBuilder();
  out.push(quote);
  pushEscaped(value as MarkedText, quote, out);
  out.push(quote);
  return out.finish();
}

/** Runs of one provenance are escaped as a whole; surrogate pairs never lie across two. */
function pushEscaped({ text, marks }: MarkedText, quote: string, out: TextBuilder): void {
  let at = 0;
  for (let i = 0; i < marks.length; i += 2) {
    const [begin, end] = [marks[i] as number, marks[i + 1] as number];
    out.push(escapeText(text.slice(at, begin), quote));
    out.push(marked(escapeText(text.slice(begin, end), quote)));
    at = end;
  }
  out.push(escapeText(text.slice(at), quote));
}

// What str.isprintable denies: other characters than letters, marks, numbers, punctuation, symbols and the space.
const NOT_PRINTABLE = /\p{C}|[\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

function escapeText(text: string, quote: string): string {
  let out = '';
  for (const character of text) {
    if (character === quote || character === '\\') out += `\\${character}`;
    else
      out += ESCAPES[character] ?? (NOT_PRINTABLE.test(character) ? escapeCharacter(character) : character);
  }
  return out;
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
