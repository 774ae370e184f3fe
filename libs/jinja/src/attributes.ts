import { Arguments, integerArgument, plainArgument } from './arguments.js';
import { equals } from './comparison.js';
import { TemplateFault, typeError, valueError } from './errors.js';
import { plain, sliceUnits, type Text, characters, concatenate, isText, lengthOf, unitAt } from './text.js';
import { TEXT_METHODS } from './text-methods.js';
import { formatText } from './str-format.js';
import { reprText } from './representation.js';
import {
  Callable,
  Dict,
  DictView,
  iterable,
  type NamedArguments,
  PyObject,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
  asInteger,
} from './values.js';

/** A subscript's `a:b:c`. */
export class Slice extends PyObject {
  override readonly typeName = 'slice';

  constructor(
    readonly start: Value,
    readonly stop: Value,
    readonly step: Value,
  ) {
    super();
  }
}

/** What the sandbox denies, because it would change a value of the caller's. */
const CHANGES_LIST = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'];
const CHANGES_DICT = ['clear', 'pop', 'popitem', 'setdefault', 'update'];

/** `value.name`: an attribute first, then an item. */
export function getAttribute(value: Value, name: string): Value {
  if (value instanceof Undefined) throw value.fault();
  const attribute = attributeOf(value, name);
  if (attribute !== undefined) return attribute;
  const item = itemOf(value, name);
  return item === undefined ? missing(value, name) : item;
}

/** `value[index]`: an item first, then an attribute. */
export function getItem(value: Value, index: Value): Value {
  if (value instanceof Undefined) throw value.fault();
  if (index instanceof Slice) return sliceOf(value, index);
  const item = itemOf(value, index);
  if (item !== undefined) return item;
  const attribute = isText(index) ? attributeOf(value, plain(index)) : undefined;
  return attribute === undefined ? missing(value, index) : attribute;
}

function missing(value: Value, name: Value): Undefined {
  const shown = isText(name) ? plain(reprText(name)) : String(asInteger(name) ?? typeName(name));
  const what = isText(name) ? 'attribute' : 'element';
  return new Undefined(`'${typeName(value)} object' has no ${what} ${shown}`);
}

function attributeOf(value: Value, name: string): Value | undefined {
  if (name.startsWith('_')) {
    const exists = /^__.*__$/.test(name) || ownAttribute(value, name) !== undefined;
    return exists ? denied(value, name) : undefined;
  }
  if (Array.isArray(value) && CHANGES_LIST.includes(name)) return denied(value, name);
  if (value instanceof Dict && CHANGES_DICT.includes(name)) return denied(value, name);
  return ownAttribute(value, name);
}

/** Every object has some attributes of Python's own; the sandbox lets none of them be used. */
function denied(value: Value, name: string): Undefined {
  return new Undefined(
    `access to attribute '${name}' of '${typeName(value)}' object is unsafe.`,
    'SecurityError',
  );
}

function ownAttribute(value: Value, name: string): Value | undefined {
  if (isText(value)) {
    if (name === 'format') return formatMethod(value);
    if (name === 'format_map') return formatMapMethod(value);
    const run = Object.hasOwn(TEXT_METHODS, name) ? TEXT_METHODS[name] : undefined;
    return run && new Callable(name, (args, named) => run(value, args, named));
  }
  if (Array.isArray(value))
    return sequenceMethod(value, name) ?? (name === 'copy' ? copyMethod(value) : undefined);
  if (value instanceof Tuple) return sequenceMethod(value.items, name) ?? value.attribute(name);
  if (value instanceof Dict) return dictMethod(value, name);
  if (typeof value === 'bigint' || typeof value === 'boolean') return integerAttribute(BigInt(value), name);
  if (typeof value === 'number') return floatAttribute(value, name);
  if (value instanceof PyObject) return value.attribute(name);
  return undefined;
}

function method(name: string, names: readonly string[], run: (args: Arguments) => Value): Callable {
  return new Callable(name, (args: readonly Value[], named: NamedArguments) =>
    run(new Arguments(name, names, args, named)),
  );
}

const ACCESS = { getAttribute, getItem };

function formatMethod(text: Text): Callable {
  return new Callable('format', (args, named) => formatText(text, { args, named, ...ACCESS }));
}

function formatMapMethod(text: Text): Callable {
  return method('format_map', ['/mapping'], (args) => {
    const mapping = args.need('mapping');
    if (!(mapping instanceof Dict)) throw typeError('format_map() argument must be a mapping');
    const named = new Map(mapping.entries().map(([key, value]) => [plainArgument(key, 'key'), value]));
    return formatText(text, { args: [], named, ...ACCESS });
  });
}

function copyMethod(items: readonly Value[]): Callable {
  return method('copy', [], () => [...items]);
}

function sequenceMethod(items: readonly Value[], name: string): Callable | undefined {
  if (name === 'count') {
    return method(name, ['/value'], (args) => {
      const wanted = args.need('value');
      return BigInt(items.filter((item) => equals(item, wanted)).length);
    });
  }
  if (name !== 'index') return undefined;
  return method(name, ['/value', '/start', '/stop'], (args) => {
    const clamp = (index: number): number => Math.max(0, index < 0 ? index + items.length : index);
    const begin = clamp(args.integer('start') ?? 0);
    const end = clamp(args.integer('stop') ?? items.length);
    const at = items.findIndex((item, i) => i >= begin && i < end && equals(item, args.need('value')));
    if (at < 0) throw valueError('the value is not in the list');
    return BigInt(at);
  });
}

function dictMethod(dict: Dict, name: string): Callable | undefined {
  switch (name) {
    case 'get':
      return method(name, ['/key', '/default'], (args) => {
        const found = dict.get(args.need('key'));
        return found === undefined ? args.getOr('default', null) : found;
      });
    case 'keys':
      return method(name, [], () => new DictView('dict_keys', dict));
    case 'values':
      return method(name, [], () => new DictView('dict_values', dict));
    case 'items':
      return method(name, [], () => new DictView('dict_items', dict));
    case 'copy':
      return method(name, [], () => Dict.of(dict.entries()));
    case 'fromkeys':
      return method(name, ['/iterable', '/value'], (args) =>
        Dict.of([...iterable(args.need('iterable'))].map((key) => [key, args.get('value') ?? null] as const)),
      );
    default:
      return undefined;
  }
}

function integerAttribute(value: bigint, name: string): Value | undefined {
  if (name === 'real' || name === 'numerator') return value;
  if (name === 'imag') return 0n;
  if (name === 'denominator') return 1n;
  if (name === 'conjugate') return method(name, [], () => value);
  if (name !== 'bit_length') return undefined;
  return method(name, [], () => (value === 0n ? 0n : BigInt(value.toString(2).replace('-', '').length)));
}

function floatAttribute(value: number, name: string): Value | undefined {
  if (name === 'real') return value;
  if (name === 'imag') return 0;
  if (name === 'conjugate') return method(name, [], () => value);
  return name === 'is_integer' ? method(name, [], () => Number.isInteger(value)) : undefined;
}

/** Undefined where Python raises an error that the sandbox turns into an undefined value. */
function itemOf(value: Value, index: Value): Value | undefined {
  if (value instanceof Dict) return isHashable(index) ? value.get(index) : undefined;
  const at = asInteger(index);
  if (at === undefined) return undefined;
  if (isText(value)) return characterAt(value, Number(at));
  if (value instanceof Range) {
    const position = at < 0n ? Number(at) + value.length : Number(at);
    return position >= 0 && position < value.length ? value.at(position) : undefined;
  }
  const items = itemsOf(value);
  return items?.at(Number(at));
}

function isHashable(key: Value): boolean {
  return !(
    Array.isArray(key) ||
    key instanceof Dict ||
    (key instanceof Tuple && !key.items.every(isHashable))
  );
}

function itemsOf(value: Value): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  return value instanceof Tuple ? value.items : undefined;
}

function characterAt(value: Text, index: number): Text | undefined {
  const text = plain(value);
  const length = lengthOf(value);
  const at = index < 0 ? index + length : index;
  if (at < 0 || at >= length) return undefined;
  return sliceUnits(value, unitAt(text, at), unitAt(text, at + 1));
}

/** Unlike other subscripts, a slice of what has none is an error. */
function sliceOf(value: Value, slice: Slice): Value {
  const length = isText(value)
    ? lengthOf(value)
    : value instanceof Range
      ? value.length
      : itemsOf(value)?.length;
  if (length === undefined) {
    if (value instanceof Dict) throw typeError("unhashable type: 'slice'");
    throw typeError(`'${typeName(value)}' object is not subscriptable`);
  }
  const { start, count, step } = sliceIndices(slice, length);
  if (isText(value)) return sliceText(value, start, count, step);
  if (value instanceof Range) {
    const begin = value.at(start);
    return new Range(begin, begin + BigInt(count * step) * value.step, value.step * BigInt(step));
  }
  const items = itemsOf(value) ?? [];
  const taken = Array.from({ length: count }, (_, i) => items[start + i * step] as Value);
  return value instanceof Tuple ? new Tuple(taken) : taken;
}

function sliceText(value: Text, start: number, count: number, step: number): Text {
  const text = plain(value);
  if (step === 1) return sliceUnits(value, unitAt(text, start), unitAt(text, start + count));
  const all = characters(value);
  return concatenate(Array.from({ length: count }, (_, i) => all[start + i * step] as Text));
}

/** Python's slice.indices. */
function sliceIndices(slice: Slice, length: number): { start: number; count: number; step: number } {
  const parts = [slice.start, slice.stop, slice.step];
  if (parts.some((part) => part !== null && asInteger(part) === undefined))
    throw typeError('slice indices must be integers or None or have an __index__ method');
  const [startIndex, stopIndex, stepIndex] = parts.map((part) =>
    part === null ? undefined : integerArgument(part),
  );
  const step = stepIndex ?? 1;
  if (step === 0) throw new TemplateFault('ValueError', 'slice step cannot be zero');
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (index: number): number => Math.min(Math.max(index < 0 ? index + length : index, low), high);
  const start = startIndex === undefined ? (step > 0 ? low : high) : clamp(startIndex);
  const stop = stopIndex === undefined ? (step > 0 ? high : low) : clamp(stopIndex);
  const count = Math.max(0, Math.ceil((stop - start) / step));
  return { start, count, step };
}

export function notCallable(value: Value): TemplateFault {
  return typeError(`'${typeName(value)}' object is not callable`);
}
