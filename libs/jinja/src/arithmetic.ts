import { TemplateFault, typeError, valueError } from './errors.js';
import { escapeHtml } from './html.js';
import { formatPercent } from './percent-format.js';
import { asMarkup, concatenate, isMarkup, isText, type Text } from './text.js';
import { asInteger, Dict, isNumber, Tuple, typeName, Undefined, type Value } from './values.js';

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';

/** Larger powers and shifts would only serve to fill the memory. */
const MOST_BITS = 1_000_000n;

export function calculate(a: Value, operator: ArithmeticOperator, b: Value): Value {
  if (a instanceof Undefined) throw a.fault();
  if (operator === '%' && isText(a))
    return isMarkup(a) ? asMarkup(formatPercent(a, escapedValues(b))) : formatPercent(a, b);
  if (b instanceof Undefined) throw b.fault();
  if (isNumber(a) && isNumber(b)) return calculateNumbers(a, operator, b);
  if (operator === '+') return add(a, b);
  if (operator === '*') return repeat(a, b);
  throw unsupported(a, operator, b);
}

/** What is put into HTML is escaped first. */
function escapedValues(value: Value): Value {
  if (value instanceof Tuple) return new Tuple(value.items.map(escapedValues));
  if (value instanceof Dict) return Dict.of(value.entries().map(([key, item]) => [key, escapedValues(item)]));
  return isText(value) && !isMarkup(value) ? escapeHtml(value) : value;
}

function unsupported(a: Value, operator: string, b: Value): TemplateFault {
  const name = operator === '**' ? '** or pow()' : operator;
  return typeError(`unsupported operand type(s) for ${name}: '${typeName(a)}' and '${typeName(b)}'`);
}

function add(a: Value, b: Value): Value {
  if (isText(a) && isText(b)) return addTexts(a, b);
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
  if (isText(a)) throw typeError(`can only concatenate str (not "${typeName(b)}") to str`);
  if (Array.isArray(a)) throw typeError(`can only concatenate list (not "${typeName(b)}") to list`);
  throw unsupported(a, '+', b);
}

function addTexts(a: Text, b: Text): Text {
  if (typeof a === 'string' && typeof b === 'string') return a + b;
  if (!isMarkup(a) && !isMarkup(b)) return concatenate([a, b]);
  return asMarkup(concatenate([isMarkup(a) ? a : escapeHtml(a), isMarkup(b) ? b : escapeHtml(b)]));
}

function repeat(a: Value, b: Value): Value {
  const times = asInteger(a) ?? asInteger(b);
  const repeated = asInteger(a) === undefined ? a : b;
  if (times === undefined) {
    const sequence = isText(a) || Array.isArray(a) || a instanceof Tuple;
    if (sequence) throw typeError(`can't multiply sequence by non-int of type '${typeName(b)}'`);
    throw unsupported(a, '*', b);
  }
  const count = Number(times < 0n ? 0n : times);
  if (typeof repeated === 'string') return repeated.repeat(count);
  if (isText(repeated)) return concatenate(Array.from({ length: count }, () => repeated));
  if (Array.isArray(repeated)) return repeatItems(repeated, count);
  if (repeated instanceof Tuple) return new Tuple(repeatItems(repeated.items, count));
  throw unsupported(a, '*', b);
}

function repeatItems(items: readonly Value[], count: number): Value[] {
  return Array.from({ length: count }, () => items).flat() as Value[];
}

type Numeric = boolean | bigint | number;

function calculateNumbers(left: Numeric, operator: ArithmeticOperator, right: Numeric): Value {
  const a = typeof left === 'boolean' ? BigInt(left) : left;
  const b = typeof right === 'boolean' ? BigInt(right) : right;
  if (typeof a === 'bigint' && typeof b === 'bigint') return calculateIntegers(a, operator, b);
  return calculateFloats(toFloat(a), operator, toFloat(b));
}

export function toFloat(value: bigint | number): number {
  const float = Number(value);
  if (typeof value === 'bigint' && !Number.isFinite(float)) {
    throw new TemplateFault('OverflowError', 'int too large to convert to float');
  }
  return float;
}

function divisionByZero(message: string): TemplateFault {
  return new TemplateFault('ZeroDivisionError', message);
}

function calculateIntegers(a: bigint, operator: ArithmeticOperator, b: bigint): Value {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      if (b === 0n) throw divisionByZero('division by zero');
      return divideIntegers(a, b);
    case '//':
      if (b === 0n) throw divisionByZero('integer division or modulo by zero');
      return floorDivide(a, b);
    case '%':
      if (b === 0n) throw divisionByZero('integer modulo by zero');
      return a - floorDivide(a, b) * b;
    case '**':
      return power(a, b);
  }
}

/** Rounded once, also where the operands have no exact float. */
function divideIntegers(a: bigint, b: bigint): number {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  const isSmall = (n: bigint): boolean => n <= limit && n >= -limit;
  if (isSmall(a) && isSmall(b)) return Number(a) / Number(b);
  const quotient = Number((a << 128n) / b) / 2 ** 128;
  if (!Number.isFinite(quotient)) {
    throw new TemplateFault('OverflowError', 'integer division result too large for a float');
  }
  return quotient;
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return quotient * b !== a && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

function power(a: bigint, b: bigint): Value {
  if (b < 0n) {
    if (a === 0n) throw divisionByZero('0.0 cannot be raised to a negative power');
    return toFloat(a) ** Number(b);
  }
  const bits = BigInt(a.toString(2).length);
  if (a !== 0n && a !== 1n && a !== -1n && bits * b > MOST_BITS) throw valueError('the power is too large');
  return a ** b;
}

function calculateFloats(a: number, operator: ArithmeticOperator, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      if (b === 0) throw divisionByZero('float division by zero');
      return a / b;
    case '//':
      if (b === 0) throw divisionByZero('float floor division by zero');
      return Math.floor((a - floatModulo(a, b)) / b);
    case '%':
      if (b === 0) throw divisionByZero('float modulo');
      return floatModulo(a, b);
    case '**':
      return floatPower(a, b);
  }
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) throw divisionByZero('0.0 cannot be raised to a negative power');
  if (a < 0 && !Number.isInteger(b) && Number.isFinite(b)) {
    throw typeError('a negative number to a fractional power is complex, which is not supported');
  }
  const result = a ** b;
  if (!Number.isFinite(result) && Number.isFinite(a) && Number.isFinite(b)) {
    throw new TemplateFault('OverflowError', "(34, 'Numerical result out of range')");
  }
  return a === 1 || (a === -1 && !Number.isFinite(b)) ? 1 : result;
}

/** The result has the divisor's sign. */
function floatModulo(a: number, b: number): number {
  const remainder = a % b;
  if (remainder === 0) return b < 0 ? -0 : 0;
  return remainder < 0 !== b < 0 ? remainder + b : remainder;
}

export function negate(value: Value): Value {
  if (value instanceof Undefined) throw value.fault();
  if (typeof value === 'number') return -value;
  const integer = asInteger(value);
  if (integer === undefined) throw typeError(`bad operand type for unary -: '${typeName(value)}'`);
  return -integer;
}

export function positive(value: Value): Value {
  if (value instanceof Undefined) throw value.fault();
  if (typeof value === 'number') return value;
  const integer = asInteger(value);
  if (integer === undefined) throw typeError(`bad operand type for unary +: '${typeName(value)}'`);
  return integer;
}
