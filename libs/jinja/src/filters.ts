import { Arguments } from './arguments.js';
import { calculate } from './arithmetic.js';
import { TemplateFault } from './errors.js';
import { ITEM_FILTERS } from './item-filters.js';
import { NUMBER_FILTERS } from './number-filters.js';
import { str } from './representation.js';
import type { Scope } from './scope.js';
import { TEXT_FILTERS } from './text-filters.js';
import { Dict, type NamedArguments, Tuple, type Value } from './values.js';

export type Filter = (value: Value, args: readonly Value[], named: NamedArguments, scope: Scope) => Value;

/** A filter by the names of its arguments. */
export interface FilterDefinition {
  readonly names: readonly string[];
  readonly run: (value: Value, args: Arguments, scope: Scope) => Value;
}

/** printf-style: any number of values, by position or by name. */
const format: Filter = (value, args, named) => {
  if (args.length > 0 && named.size > 0) {
    throw new TemplateFault(
      'FilterArgumentError',
      "can't handle positional and keyword arguments at the same time",
    );
  }
  return calculate(str(value), '%', named.size > 0 ? Dict.of(named) : new Tuple(args));
};

const FILTERS = new Map<string, Filter>([
  ['format', format],
  ...ITEM_FILTERS(),
  ...[...TEXT_FILTERS(), ...NUMBER_FILTERS()].map(([name, { names, run }]): [string, Filter] => [
    name,
    (value, args, named, scope) => run(value, new Arguments(name, names, args, named), scope),
  ]),
]);

export function findFilter(name: string): Filter | undefined {
  return FILTERS.get(name);
}
