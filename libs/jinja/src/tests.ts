import { calculate } from './arithmetic.js';
import { typeError } from './errors.js';
import type { Test } from './filter-definition.js';
import { findFilter } from './filters.js';
import { isLower, isUpper } from './letter-case.js';
import type { ComparisonOperator } from './nodes.js';
import { str } from './representation.js';
import { isMarkup, isText, plain } from './text.js';
import {
  Callable,
  Dict,
  DictView,
  isIterable,
  isNumber,
  PyObject,
  sizeOf,
  Undefined,
  type Value,
} from './values.js';
import { compare, contains, equals } from './comparison.js';

/** A test with as many operands as it has names. */
function test(names: readonly string[], holds: (value: Value, ...operands: Value[]) => boolean): Test {
  return (value, args, named) => {
    const operands = names.map((name, i) => (i < args.length ? args[i] : named.get(name)));
    if (args.length + named.size !== names.length || operands.includes(undefined)) {
      throw typeError(`a test takes ${names.length} argument(s)`);
    }
    return holds(value, ...(operands as Value[]));
  };
}

function comparison(operator: ComparisonOperator): Test {
  return test(['other'], (value, other) => compare(value, operator, other as Value));
}

function remainder(value: Value, by: Value): Value {
  return calculate(value, '%', by);
}

/** The same object; numbers and texts, which have no identity here, by type and value. */
function isSame(a: Value, b: Value): boolean {
  if (a instanceof PyObject || Array.isArray(a)) return a === b;
  return (isText(a) ? isText(b) : typeof a === typeof b) && equals(a, b);
}

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['odd', test([], (value) => equals(remainder(value, 2n), 1n))],
  ['even', test([], (value) => equals(remainder(value, 2n), 0n))],
  ['divisibleby', test(['num'], (value, by) => equals(remainder(value, by as Value), 0n))],
  ['defined', test([], (value) => !(value instanceof Undefined))],
  ['undefined', test([], (value) => value instanceof Undefined)],
  ['filter', test([], (value) => isText(value) && findFilter(plain(value)) !== undefined)],
  ['test', test([], (value): boolean => isText(value) && TESTS.has(plain(value)))],
  ['none', test([], (value) => value === null)],
  ['boolean', test([], (value) => typeof value === 'boolean')],
  ['false', test([], (value) => value === false)],
  ['true', test([], (value) => value === true)],
  ['integer', test([], (value) => typeof value === 'bigint')],
  ['float', test([], (value) => typeof value === 'number')],
  ['lower', test([], (value) => isLower(plain(str(value))))],
  ['upper', test([], (value) => isUpper(plain(str(value))))],
  ['string', test([], isText)],
  ['mapping', test([], (value) => value instanceof Dict)],
  ['number', test([], isNumber)],
  ['sequence', test([], (value) => sizeOf(value) !== undefined && !(value instanceof DictView))],
  ['iterable', test([], isIterable)],
  ['callable', test([], (value) => value instanceof Callable || value instanceof Undefined)],
  ['sameas', test(['other'], (value, other) => isSame(value, other as Value))],
  ['escaped', test([], isMarkup)],
  ['in', test(['seq'], (value, container) => contains(container as Value, value))],
  ...['==', 'eq', 'equalto'].map((name): [string, Test] => [name, comparison('==')]),
  ...['!=', 'ne'].map((name): [string, Test] => [name, comparison('!=')]),
  ...['>', 'gt', 'greaterthan'].map((name): [string, Test] => [name, comparison('>')]),
  ...['>=', 'ge'].map((name): [string, Test] => [name, comparison('>=')]),
  ...['<', 'lt', 'lessthan'].map((name): [string, Test] => [name, comparison('<')]),
  ...['<=', 'le'].map((name): [string, Test] => [name, comparison('<=')]),
]);

export function findTest(name: string): Test | undefined {
  return TESTS.get(name);
}
