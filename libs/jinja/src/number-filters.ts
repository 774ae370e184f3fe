import type { Arguments } from './arguments.js';
import { calculate } from './arithmetic.js';
import { TemplateFault, typeError, valueError } from './errors.js';
import type { FilterDefinitions } from './filter-definition.js';
import { formatFloat, roundFloat } from './float-format.js';
import { parseFloatText, parseInteger } from './number-text.js';
import { isText, plain } from './text.js';
import { asInteger, isNumber, typeName, Undefined, type Value } from './values.js';

export const NUMBER_FILTERS: FilterDefinitions = {
  abs: { names: [], run: absolute },
  filesizeformat: { names: ['binary'], run: fileSize },
  float: { names: ['default'], run: (value, args) => toFloat(value) ?? args.getOr('default', 0) },
  int: { names: ['default', 'base'], run: toInteger },
  round: { names: ['precision', 'method'], run: round },
};

function absolute(value: Value): Value {
  if (value instanceof Undefined) throw value.fault();
  if (typeof value === 'number') return Math.abs(value);
  const integer = asInteger(value);
  if (integer === undefined) throw typeError(`bad operand type for abs(): '${typeName(value)}'`);
  return integer < 0n ? -integer : integer;
}

/** Python's float(value); undefined where it raises an error that the filters catch. */
function toFloat(value: Value): number | undefined {
  if (value instanceof Undefined) throw value.fault();
  if (isNumber(value)) return Number(value);
  return isText(value) ? parseFloatText(plain(value)) : undefined;
}

function toInteger(value: Value, args: Arguments): Value {
  if (value instanceof Undefined) throw value.fault();
  const integer = asInteger(value);
  if (integer !== undefined) return integer;
  if (typeof value === 'number' && !Number.isFinite(value) && !Number.isNaN(value)) {
    throw new TemplateFault('OverflowError', 'cannot convert float infinity to integer');
  }
  const exact = isText(value) ? parseInteger(plain(value), args.integer('base') ?? 10) : undefined;
  if (exact !== undefined) return exact;
  const float = toFloat(value);
  if (float === undefined || !Number.isFinite(float)) return args.getOr('default', 0n);
  return BigInt(Math.trunc(float));
}

function round(value: Value, args: Arguments): Value {
  if (value instanceof Undefined) throw value.fault();
  const precision = args.integer('precision') ?? 0;
  const method = plain(args.text('method') ?? 'common');
  if (!['common', 'ceil', 'floor'].includes(method)) {
    throw new TemplateFault('FilterArgumentError', 'method must be common, ceil or floor');
  }
  if (!isNumber(value)) throw typeError(`type ${typeName(value)} doesn't define __round__ method`);
  if (method !== 'common') return roundTowards(value, precision, method === 'ceil' ? Math.ceil : Math.floor);
  const integer = asInteger(value);
  if (integer === undefined) return roundFloat(Number(value), precision);
  return precision >= 0 ? integer : roundInteger(integer, 10n ** BigInt(-precision));
}

function roundTowards(value: Value, precision: number, towards: (value: number) => number): Value {
  const scale = calculate(10n, '**', BigInt(precision));
  const scaled = calculate(value, '*', scale);
  const whole = typeof scaled === 'number' ? BigInt(towards(scaled)) : scaled;
  return calculate(whole, '/', scale);
}

/** Half to even. */
function roundInteger(value: bigint, unit: bigint): bigint {
  const remainder = ((value % unit) + unit) % unit;
  const floor = value - remainder;
  const twice = remainder * 2n;
  const isUp = twice > unit || (twice === unit && (floor / unit) % 2n !== 0n);
  return isUp ? floor + unit : floor;
}

function fileSize(value: Value, args: Arguments): Value {
  const bytes = toFloat(value);
  if (bytes === undefined) throw valueError('could not convert to float');
  const isBinary = args.get('binary') === true;
  const base = isBinary ? 1024 : 1000;
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  const prefixes = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
  const found = prefixes.findIndex((_, i) => bytes < base ** (i + 2));
  const power = found < 0 ? prefixes.length - 1 : found;
  const prefix = prefixes[power] as string;
  const unit = isBinary ? `${prefix.toUpperCase()}iB` : `${prefix}B`;
  return `${formatFloat((base * bytes) / base ** (power + 2), 'f', 1)} ${unit}`;
}
