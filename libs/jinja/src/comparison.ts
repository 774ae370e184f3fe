import { typeError } from './errors.js';
import type { ComparisonOperator } from './nodes.js';
import { isText, plain } from './text.js';
import {
  Dict,
  DictView,
  Generator,
  isNumber,
  iterate,
  Range,
  sizeOf,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

type Numeric = boolean | bigint | number;

function numberOf(value: Numeric): bigint | number {
  return typeof value === 'boolean' ? BigInt(value) : value;
}

/** Python's ==: by value, never an error. */
export function equals(a: Value, b: Value): boolean {
  if (a === b) return !(typeof a === 'number' && Number.isNaN(a));
  if (isNumber(a) && isNumber(b)) return numberOf(a) == numberOf(b); // oxlint-disable-line eqeqeq -- int and float compare by value
  if (isText(a) && isText(b)) return plain(a) === plain(b);
  if (Array.isArray(a) && Array.isArray(b)) return equalItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return equalItems(a.items, b.items);
  if (a instanceof Dict && b instanceof Dict) return equalDicts(a, b);
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof Range && b instanceof Range) return equalItems([...iterate(a)], [...iterate(b)]);
  return false;
}

/** Items that are the same object are equal, even NaN. */
function equalItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i] || equals(item, b[i] as Value));
}

function equalDicts(a: Dict, b: Dict): boolean {
  if (a.size !== b.size) return false;
  return a.entries().every(([key, value]) => {
    const other = b.get(key);
    return other !== undefined && equals(value, other);
  });
}

export type OrderOperator = '<' | '<=' | '>' | '>=';

export function ordered(a: Value, operator: OrderOperator, b: Value): boolean {
  if (a instanceof Undefined) throw a.fault();
  if (b instanceof Undefined) throw b.fault();
  if (isNumber(a) && isNumber(b)) return holds(numberOf(a), operator, numberOf(b));
  if (isText(a) && isText(b)) return holds(compareTexts(plain(a), plain(b)), operator, 0);
  if (Array.isArray(a) && Array.isArray(b)) return orderedItems(a, operator, b);
  if (a instanceof Tuple && b instanceof Tuple) return orderedItems(a.items, operator, b.items);
  throw typeError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

function holds(a: bigint | number, operator: OrderOperator, b: bigint | number): boolean {
  if (operator === '<') return a < b;
  if (operator === '<=') return a <= b;
  return operator === '>' ? a > b : a >= b;
}

/** By code points: JavaScript's own order is that of UTF-16 units. */
function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const limit = Math.min(a.length, b.length);
  let i = 0;
  while (i < limit && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === limit) return a.length - b.length;
  return sortable(a.charCodeAt(i)) - sortable(b.charCodeAt(i));
}

/** Surrogates stand for code points above all others. */
function sortable(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function orderedItems(a: readonly Value[], operator: OrderOperator, b: readonly Value[]): boolean {
  const differing = a.findIndex((item, i) => i >= b.length || !equals(item, b[i] as Value));
  if (differing >= 0 && differing < b.length) {
    return ordered(a[differing] as Value, operator, b[differing] as Value);
  }
  return holds(a.length, operator, b.length);
}

/** `item in container`. */
export function contains(container: Value, item: Value): boolean {
  if (isText(container)) {
    if (isText(item)) return plain(container).includes(plain(item));
    throw typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Dict) return container.has(item);
  if (container instanceof DictView && container.typeName === 'dict_keys') return container.dict.has(item);
  if (!(container instanceof Generator) && sizeOf(container) === undefined) {
    throw typeError(`argument of type '${typeName(container)}' is not iterable`);
  }
  for (const candidate of iterate(container)) if (candidate === item || equals(candidate, item)) return true;
  return false;
}

/** A stable order as of Python's sorted(). */
export function sortedBy<T>(items: readonly T[], key: (item: T) => Value, reverse: boolean): T[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const compare = (a: Value, b: Value): number => (ordered(a, '<', b) ? -1 : ordered(b, '<', a) ? 1 : 0);
  // Reversed, equal items still keep their order.
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return keyed.map(({ item }) => item);
}

export function compare(a: Value, operator: ComparisonOperator, b: Value): boolean {
  switch (operator) {
    case '==':
      return equals(a, b);
    case '!=':
      return !equals(a, b);
    case 'in':
      return contains(b, a);
    case 'notin':
      return !contains(b, a);
    default:
      return ordered(a, operator, b);
  }
}
