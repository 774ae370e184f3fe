import { typeError, valueError } from './errors.js';
import { formatFloat, type FloatStyle } from './float-format.js';
import { repr, str } from './representation.js';
import { concatenate, lengthOf, plain, sliceUnits, type Text } from './text.js';
import { asInteger, Dict, isNumber, Tuple, typeName, type Value } from './values.js';

/** `%(key)#0- +12.3ld` */
const CONVERSION = /%(?:\(((?:[^()]|\([^()]*\))*)\))?([#0\- +]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?([\s\S])?/g;

interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** Python's `text % values`. */
export function formatPercent(format: Text, given: Value): Text {
  const values = new FormatValues(given);
  const source = plain(format);
  const pieces: Text[] = [];
  let at = 0;
  for (const match of source.matchAll(CONVERSION)) {
    pieces.push(sliceUnits(format, at, match.index));
    at = match.index + match[0].length;
    pieces.push(convertMatch(match, values));
  }
  pieces.push(sliceUnits(format, at, source.length));
  values.finish();
  return concatenate(pieces);
}

function convertMatch(match: RegExpExecArray, values: FormatValues): Text {
  const [whole, key, flags = '', width, precision, type] = match;
  if (type === undefined) throw valueError('incomplete format');
  if (type === '%') return '%';
  const hasPrecision = whole.includes('.', 1 + (key === undefined ? 0 : key.length + 2));
  if (key !== undefined) values.select(key);
  const conversion = {
    flags,
    width: sizeOfField(width, values) ?? 0,
    precision: hasPrecision ? (sizeOfField(precision, values) ?? 0) : undefined,
    type,
  };
  return convert(values.next(), conversion);
}

function sizeOfField(field: string | undefined, values: FormatValues): number | undefined {
  if (field !== '*') return field === undefined ? undefined : Number(field);
  const size = asInteger(values.next());
  if (size === undefined) throw typeError('* wants int');
  return Number(size);
}

/** The values in turn, or one picked from a dict by its key. */
class FormatValues {
  readonly #items: readonly Value[];
  #used = 0;
  #selected: Value | undefined;
  #byKey = false;

  constructor(private readonly given: Value) {
    this.#items = given instanceof Tuple ? given.items : [given];
  }

  select(key: string): void {
    if (!(this.given instanceof Dict)) throw typeError('format requires a mapping');
    const value = this.given.get(key);
    if (value === undefined) throw valueError(`'${key}'`);
    this.#selected = value;
    this.#byKey = true;
  }

  next(): Value {
    const selected = this.#selected;
    if (selected !== undefined) {
      this.#selected = undefined;
      return selected;
    }
    if (this.#used >= this.#items.length) throw typeError('not enough arguments for format string');
    return this.#items[this.#used++] as Value;
  }

  finish(): void {
    const mayBeUnused = this.#byKey || this.given instanceof Dict || Array.isArray(this.given);
    if (this.#used < this.#items.length && !mayBeUnused) {
      throw typeError('not all arguments converted during string formatting');
    }
  }
}

function convert(value: Value, conversion: Conversion): Text {
  const { type, precision } = conversion;
  switch (type) {
    case 's':
    case 'r':
    case 'a': {
      const text = type === 's' ? str(value) : repr(value);
      const cut = precision === undefined ? text : firstCharacters(text, precision);
      return padText(cut, conversion);
    }
    case 'c':
      return padText(characterOf(value), conversion);
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return padNumber(integerText(value, conversion), conversion);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return padNumber(floatText(value, conversion, type), conversion);
    default:
      throw valueError(`unsupported format character '${type}'`);
  }
}

function firstCharacters(text: Text, count: number): Text {
  const units = Array.from(plain(text)).slice(0, count).join('').length;
  return sliceUnits(text, 0, units);
}

function characterOf(value: Value): Text {
  const code = asInteger(value);
  if (code !== undefined) return String.fromCodePoint(Number(code));
  const text = str(value);
  if (lengthOf(text) !== 1) throw typeError('%c requires int or char');
  return text;
}

function integerText(value: Value, { type, flags, precision }: Conversion): string {
  const wantsHex = type === 'x' || type === 'X' || type === 'o';
  const integer =
    typeof value === 'number' && !wantsHex && Number.isFinite(value)
      ? BigInt(Math.trunc(value))
      : asInteger(value);
  if (integer === undefined) {
    const expected = wantsHex ? 'an integer is required' : 'a real number is required';
    throw typeError(`%${type} format: ${expected}, not ${typeName(value)}`);
  }
  const radix = type === 'o' ? 8 : wantsHex ? 16 : 10;
  const digits = (integer < 0n ? -integer : integer).toString(radix).padStart(precision ?? 0, '0');
  const prefix = flags.includes('#') && radix !== 10 ? `0${type === 'o' ? 'o' : 'x'}` : '';
  const text = `${integer < 0n ? '-' : ''}${prefix}${digits}`;
  return type === 'X' ? text.toUpperCase() : text;
}

function floatText(value: Value, { flags, precision }: Conversion, type: string): string {
  if (!isNumber(value)) throw typeError(`must be real number, not ${typeName(value)}`);
  const style = type.toLowerCase() as FloatStyle;
  const text = formatFloat(Number(value), style, precision ?? 6, flags.includes('#'));
  return type === type.toUpperCase() ? text.toUpperCase() : text;
}

function padText(text: Text, { width, flags }: Conversion): Text {
  const fill = ' '.repeat(Math.max(0, width - lengthOf(text)));
  return concatenate(flags.includes('-') ? [text, fill] : [fill, text]);
}

function padNumber(text: string, { width, flags }: Conversion): string {
  const isNegative = text.startsWith('-');
  const sign = isNegative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  const digits = isNegative ? text.slice(1) : text;
  if (flags.includes('-')) return (sign + digits).padEnd(width);
  if (flags.includes('0')) return sign + digits.padStart(width - sign.length, '0');
  return (sign + digits).padStart(width);
}
