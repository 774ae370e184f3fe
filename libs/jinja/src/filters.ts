import { Arguments } from './arguments.js';
import { calculate } from './arithmetic.js';
import { TemplateFault } from './errors.js';
import type { Filter } from './filter-definition.js';
import { ITEM_FILTERS } from './item-filters.js';
import { LAZY_FILTERS } from './lazy-filters.js';
import { NUMBER_FILTERS } from './number-filters.js';
import { str } from './representation.js';
import { TEXT_FILTERS } from './text-filters.js';
import { Dict, Tuple } from './values.js';

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

const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['format', format],
  ...Object.entries(LAZY_FILTERS),
  ...Object.entries({ ...ITEM_FILTERS, ...TEXT_FILTERS, ...NUMBER_FILTERS }).map(
    ([name, { names, run }]): [string, Filter] => [
      name,
      (value, args, named, context) => run(value, new Arguments(name, names, args, named), context),
    ],
  ),
]);

export function findFilter(name: string): Filter | undefined {
  return FILTERS.get(name);
}
