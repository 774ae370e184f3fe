import { typeError, valueError } from './errors.js';
import { type FloatStyle, formatFloat } from './float-format.js';
import { reprFloat, str } from './representation.js';
import { concatenate, isText, lengthOf, plain, sliceUnits, type Text, unitAt } from './text.js';
import { isNumber, type Value, typeName } from './values.js';

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([_,])?(?:\.(\d+))?([a-zA-Z%])?$/u;

interface Spec {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string | undefined;
  readonly precision: number | undefined;
  readonly type: string | undefined;
}

/** Python's format(value, spec). */
export function formatValue(value: Value, specText: string): Text {
  if (specText === '') return str(value);
  if (!isText(value) && !isNumber(value)) {
    throw typeError(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const spec = parseSpec(specText);
  if (isText(value)) return formatText(value, spec);
  const isFloat = typeof value === 'number' || /^[eEfFgG%]$/.test(spec.type ?? '');
  const digits = isFloat ? floatDigits(Number(value), spec) : integerDigits(BigInt(value), spec);
  return padNumber(digits, spec);
}

function parseSpec(text: string): Spec {
  const match = SPEC.exec(text);
  if (match === null) throw valueError('Invalid format specifier');
  const [, fill, align, sign = '-', zeroSign, alternate, zero, width, grouping, precision, type] = match;
  if (zeroSign !== undefined)
    throw valueError('Negative zero coercion (z) is not supported in chat templates');
  return {
    fill: fill ?? (zero ? '0' : ' '),
    align: align ?? (zero ? '=' : undefined),
    sign,
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}

function formatText(text: Text, spec: Spec): Text {
  if (spec.type !== undefined && spec.type !== 's') {
    throw valueError(`Unknown format code '${spec.type}' for object of type 'str'`);
  }
  if (spec.grouping !== undefined) throw valueError(`Cannot specify '${spec.grouping}' with 's'.`);
  if (spec.align === '=') throw valueError("'=' alignment not allowed in string format specifier");
  const cut = spec.precision === undefined ? text : sliceUnits(text, 0, unitAt(plain(text), spec.precision));
  return pad(cut, spec, '<');
}

function integerDigits(value: bigint, { type = 'd', alternate, grouping, precision }: Spec): string {
  if (precision !== undefined) throw valueError('Precision not allowed in integer format specifier');
  if (type === 'c') return String.fromCodePoint(Number(value));
  const radix = { b: 2, o: 8, x: 16, X: 16, d: 10, n: 10 }[type];
  if (radix === undefined) throw valueError(`Unknown format code '${type}' for object of type 'int'`);
  const digits = (value < 0n ? -value : value).toString(radix);
  const grouped = grouping === undefined ? digits : group(digits, grouping, radix === 10 ? 3 : 4);
  const prefix = alternate && radix !== 10 ? `0${type}` : '';
  const text = (value < 0n ? '-' : '') + prefix + grouped;
  return type === 'X' ? text.toUpperCase() : text;
}

function floatDigits(value: number, { type, alternate, grouping, precision }: Spec): string {
  const text = ungroupedFloat(value, type, precision, alternate);
  if (grouping === undefined) return text;
  const [, whole = '', rest = ''] = /^-?(\d*)(.*)$/.exec(text) ?? [];
  return (text.startsWith('-') ? '-' : '') + group(whole, grouping, 3) + rest;
}

function ungroupedFloat(
  value: number,
  type: string | undefined,
  precision: number | undefined,
  alternate: boolean,
): string {
  if (type === undefined) {
    if (precision === undefined) return reprFloat(value);
    const text = formatFloat(value, 'g', precision, alternate);
    return /^-?\d+$/.test(text) ? `${text}.0` : text;
  }
  if (type === '%') return `${formatFloat(value * 100, 'f', precision ?? 6, alternate)}%`;
  const style = (type === 'n' ? 'g' : type.toLowerCase()) as FloatStyle;
  if (!['e', 'f', 'g'].includes(style)) {
    throw valueError(`Unknown format code '${type}' for object of type 'float'`);
  }
  const text = formatFloat(value, style, precision ?? 6, alternate);
  return type === type.toUpperCase() ? text.toUpperCase() : text;
}

function group(digits: string, mark: string, size: number): string {
  const begin = digits.length % size;
  const groups = begin > 0 ? [digits.slice(0, begin)] : [];
  for (let i = begin; i < digits.length; i += size) groups.push(digits.slice(i, i + size));
  return groups.join(mark);
}

function padNumber(text: string, spec: Spec): Text {
  const isNegative = text.startsWith('-');
  const sign = isNegative ? '-' : spec.sign === '-' ? '' : spec.sign;
  const digits = isNegative ? text.slice(1) : text;
  if (spec.align !== '=') return pad(sign + digits, spec, '>');
  return sign + spec.fill.repeat(Math.max(0, spec.width - sign.length - digits.length)) + digits;
}

function pad(text: Text, { fill, align, width }: Spec, defaultAlign: string): Text {
  const missing = Math.max(0, width - lengthOf(text));
  const side = align ?? defaultAlign;
  const left = side === '<' ? 0 : side === '^' ? Math.floor(missing / 2) : missing;
  return concatenate([fill.repeat(left), text, fill.repeat(missing - left)]);
}
