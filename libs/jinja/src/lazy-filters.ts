import { attributePath } from './attribute-path.js';
import { TemplateFault } from './errors.js';
import type { Filter, FilterContext } from './filter-definition.js';
import { isText, plain } from './text.js';
import { type Generator, generatorOf, iterable, type NamedArguments, truth, type Value } from './values.js';

/** Runs only while something reads it, as Python's generators do. */
function lazily(value: Value, produce: (items: Iterable<Value>) => Iterable<Value>): Generator {
  return generatorOf(
    (function* () {
      if (truth(value)) yield* produce(iterable(value));
    })(),
  );
}

const map: Filter = (value, args, named, context) =>
  lazily(value, function* (items) {
    const change = mapping(args, named, context);
    for (const item of items) yield change(item);
  });

function mapping(
  args: readonly Value[],
  named: NamedArguments,
  context: FilterContext,
): (item: Value) => Value {
  const attribute = named.get('attribute');
  if (args.length === 0 && attribute !== undefined) {
    const other = [...named.keys()].find((name) => name !== 'attribute' && name !== 'default');
    if (other !== undefined)
      throw new TemplateFault('FilterArgumentError', `Unexpected keyword argument '${other}'`);
    return attributePath(attribute, { fallback: named.get('default') });
  }
  const [name, ...rest] = args;
  if (name === undefined) throw new TemplateFault('FilterArgumentError', 'map requires a filter argument');
  const filter = isText(name) ? context.findFilter(plain(name)) : undefined;
  if (filter === undefined)
    throw new TemplateFault('TemplateRuntimeError', 'map: there is no filter of that name.');
  return (item) => filter(item, rest, named, context);
}

function selection(byAttribute: boolean, keep: boolean): Filter {
  return (value, args, named, { findTest }) =>
    lazily(value, function* (items) {
      const holds = condition({ args, named, byAttribute, findTest });
      for (const item of items) if (holds(item) === keep) yield item;
    });
}

interface Selection extends Pick<FilterContext, 'findTest'> {
  readonly args: readonly Value[];
  readonly named: NamedArguments;
  readonly byAttribute: boolean;
}

function condition({ args, named, byAttribute, findTest }: Selection): (item: Value) => boolean {
  if (byAttribute && args[0] === undefined) {
    throw new TemplateFault('FilterArgumentError', 'Missing parameter for attribute name');
  }
  const of = byAttribute ? attributePath(args[0] as Value, {}) : (item: Value) => item;
  const [name, ...rest] = args.slice(byAttribute ? 1 : 0);
  if (name === undefined) return (item) => truth(of(item));
  const test = isText(name) ? findTest(plain(name)) : undefined;
  if (test === undefined) throw new TemplateFault('TemplateRuntimeError', 'There is no test of that name.');
  return (item) => test(of(item), rest, named);
}

/** The filters whose items are made when they are read. */
export const LAZY_FILTERS: Readonly<Record<string, Filter>> = {
  map,
  select: selection(false, true),
  reject: selection(false, false),
  selectattr: selection(true, true),
  rejectattr: selection(true, false),
};
