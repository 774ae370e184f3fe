import type { Arguments } from './arguments.js';
import { calculate } from './arithmetic.js';
import { attributePath, withoutCase } from './attribute-path.js';
import { getAttribute } from './attributes.js';
import { equals, ordered, sortedBy } from './comparison.js';
import { TemplateFault, typeError } from './errors.js';
import type { FilterDefinitions } from './filter-definition.js';
import { PairTuple } from './pair-tuple.js';
import { characters, concatenate, isText, plain } from './text.js';
import {
  Dict,
  Generator,
  generatorOf,
  type HashKey,
  hashKey,
  iterable,
  listOf,
  sizeOf,
  truth,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

export const ITEM_FILTERS: FilterDefinitions = {
  attr: {
    names: ['name'],
    run: (value, args) => {
      const name = plain(args.needText('name'));
      // An item of that name is no attribute.
      return value instanceof Dict ? getAttribute(new Dict(), name) : getAttribute(value, name);
    },
  },
  batch: { names: ['linecount', 'fill_with'], run: batch },
  count: { names: [], run: length },
  d: { names: ['default_value', 'boolean'], run: defaultTo },
  default: { names: ['default_value', 'boolean'], run: defaultTo },
  dictsort: { names: ['case_sensitive', 'by', 'reverse'], run: dictSort },
  first: {
    names: [],
    run: (value) => {
      for (const item of iterable(value)) return item;
      return new Undefined('No first item, sequence was empty.');
    },
  },
  groupby: { names: ['attribute', 'default', 'case_sensitive'], run: groupBy },
  items: {
    names: [],
    run: (value) => {
      if (value instanceof Undefined) return generatorOf([]);
      if (!(value instanceof Dict)) throw typeError('Can only get item pairs from a mapping.');
      return generatorOf(value.entries().map((entry) => new Tuple(entry)));
    },
  },
  last: {
    names: [],
    run: (value) => itemOr(reversible(value).at(-1), 'No last item, sequence was empty.'),
  },
  length: { names: [], run: length },
  list: { names: [], run: (value) => listOf(value) },
  max: { names: ['case_sensitive', 'attribute'], run: (value, args) => extreme(value, args, '>') },
  min: { names: ['case_sensitive', 'attribute'], run: (value, args) => extreme(value, args, '<') },
  random: {
    names: [],
    run: (value) => {
      const items = reversible(value);
      return itemOr(items[Math.floor(Math.random() * items.length)], 'No random item, sequence was empty.');
    },
  },
  reverse: { names: [], run: reverse },
  slice: { names: ['slices', 'fill_with'], run: slices },
  sort: { names: ['reverse', 'case_sensitive', 'attribute'], run: sort },
  sum: { names: ['attribute', 'start'], run: sum },
  unique: { names: ['case_sensitive', 'attribute'], run: unique },
};

function itemOr(item: Value | undefined, message: string): Value {
  return item === undefined ? new Undefined(message) : item;
}

function length(value: Value): Value {
  const size = sizeOf(value);
  if (size === undefined) throw typeError(`object of type '${typeName(value)}' has no len()`);
  return BigInt(size);
}

function defaultTo(value: Value, args: Arguments): Value {
  const isMissing = value instanceof Undefined || (truth(args.get('boolean') ?? false) && !truth(value));
  return isMissing ? args.getOr('default_value', '') : value;
}

function ignoresCase(args: Arguments): boolean {
  return !truth(args.get('case_sensitive') ?? false);
}

/** Items of what Python's reversed() takes. */
function reversible(value: Value): readonly Value[] {
  if (value instanceof Generator) throw typeError("'generator' object is not reversible");
  return listOf(value);
}

function reverse(value: Value): Value {
  if (isText(value)) return concatenate(characters(value).toReversed());
  const items = listOf(value).toReversed();
  return value instanceof Generator ? items : generatorOf(items); // a list of what reversed() does not take
}

function batch(value: Value, args: Arguments): Value {
  const size = args.integer('linecount') ?? 0;
  const fill = args.get('fill_with') ?? null;
  const items = listOf(value);
  const rows: Value[][] = [];
  for (const item of items) {
    const row = rows.at(-1);
    if (row === undefined || row.length === size) rows.push([item]);
    else row.push(item);
  }
  const last = rows.at(-1);
  const missing = last === undefined || fill === null ? 0 : Math.max(0, size - last.length);
  last?.push(...Array.from({ length: missing }, () => fill));
  return generatorOf(rows);
}

function slices(value: Value, args: Arguments): Value {
  const count = args.integer('slices') ?? 0;
  const fill = args.get('fill_with') ?? null;
  if (count === 0) throw new TemplateFault('ZeroDivisionError', 'integer division or modulo by zero');
  const items = listOf(value);
  const size = Math.floor(items.length / count);
  const longer = items.length % count;
  const parts: Value[][] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const end = at + size + (i < longer ? 1 : 0);
    const part = items.slice(at, end);
    if (fill !== null && i >= longer) part.push(fill);
    parts.push(part);
    at = end;
  }
  return generatorOf(parts);
}

function dictSort(value: Value, args: Arguments): Value {
  if (!(value instanceof Dict)) throw typeError(`'${typeName(value)}' object has no attribute 'items'`);
  const by = args.text('by') ?? 'key';
  const position = ['key', 'value'].indexOf(plain(by));
  if (position < 0)
    throw new TemplateFault('FilterArgumentError', 'You can only sort by either "key" or "value"');
  const ignoreCase = ignoresCase(args);
  const key = (entry: readonly [Value, Value]): Value => {
    const part = entry[position] as Value;
    return ignoreCase ? withoutCase(part) : part;
  };
  return sortedBy(value.entries(), key, truth(args.get('reverse') ?? false)).map((entry) => new Tuple(entry));
}

function sort(value: Value, args: Arguments): Value {
  const attribute = args.get('attribute') ?? null;
  const ignoreCase = ignoresCase(args);
  const paths = (isText(attribute) ? plain(attribute).split(',') : [attribute]).map((part) =>
    attributePath(part, { ignoreCase }),
  );
  return sortedBy(
    listOf(value),
    (item) => paths.map((path) => path(item)),
    truth(args.get('reverse') ?? false),
  );
}

function unique(value: Value, args: Arguments): Value {
  const path = attributePath(args.get('attribute') ?? null, { ignoreCase: ignoresCase(args) });
  const items = iterable(value);
  return generatorOf(
    (function* () {
      const seen = new Set<HashKey>();
      for (const item of items) {
        const key = hashKey(path(item));
        if (!seen.has(key)) yield item;
        seen.add(key);
      }
    })(),
  );
}

function extreme(value: Value, args: Arguments, operator: '<' | '>'): Value {
  const path = attributePath(args.get('attribute') ?? null, { ignoreCase: ignoresCase(args) });
  let best: { readonly item: Value; readonly key: Value } | undefined;
  for (const item of iterable(value)) {
    const key = path(item);
    if (best === undefined || ordered(key, operator, best.key)) best = { item, key };
  }
  if (best === undefined) return new Undefined('No aggregated item, sequence was empty.');
  return best.item;
}

function sum(value: Value, args: Arguments): Value {
  const path = attributePath(args.get('attribute') ?? null, {});
  let total = args.getOr('start', 0n);
  if (isText(total)) throw typeError("sum() can't sum strings [use ''.join(seq) instead]");
  for (const item of iterable(value)) total = calculate(total, '+', path(item));
  return total;
}

function groupBy(value: Value, args: Arguments): Value {
  const attribute = args.need('attribute');
  const fallback = args.get('default');
  const ignoreCase = ignoresCase(args);
  const path = attributePath(attribute, { fallback, ignoreCase });
  const shown = attributePath(attribute, { fallback });
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sortedBy(listOf(value), path, false)) {
    const key = path(item);
    const last = groups.at(-1);
    if (last !== undefined && equals(last.key, key)) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups.map(({ key, items }) => new PairTuple(ignoreCase ? shown(items[0] as Value) : key, items));
}
