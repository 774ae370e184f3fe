import { Arguments, integerArgument } from './arguments.js';
import { TemplateFault, typeError, valueError } from './errors.js';
import { repr, str } from './representation.js';
import { formatTime } from './strftime.js';
import { isText, plain } from './text.js';
import {
  asInteger,
  Callable,
  Dict,
  iterable,
  listOf,
  type NamedArguments,
  PyObject,
  Range,
  typeName,
  type Value,
} from './values.js';

/** A longer range is refused, as by Jinja2's sandbox. */
const LONGEST_RANGE = 100_000;

/** `namespace(...)`: the one object whose attributes a template may set. */
export class Namespace extends PyObject {
  override readonly typeName = 'Namespace';
  readonly #values: Dict;

  constructor(values: Dict) {
    super();
    this.#values = values;
  }

  override attribute(name: string): Value | undefined {
    return this.#values.get(name);
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }

  override repr(): string {
    return `<Namespace ${plain(repr(this.#values))}>`;
  }
}

class Cycler extends PyObject {
  override readonly typeName = 'Cycler';
  #at = 0;

  constructor(private readonly items: readonly Value[]) {
    super();
    if (items.length === 0) throw new TemplateFault('TypeError', 'at least one item has to be provided');
  }

  override attribute(name: string): Value | undefined {
    if (name === 'current') return this.items[this.#at];
    if (name === 'items') return [...this.items];
    if (name === 'pos') return BigInt(this.#at);
    if (name === 'reset') {
      return new Callable(name, () => {
        this.#at = 0;
        return null;
      });
    }
    if (name !== 'next') return undefined;
    return new Callable(name, () => {
      const current = this.items[this.#at] as Value;
      this.#at = (this.#at + 1) % this.items.length;
      return current;
    });
  }
}

/** What every template can call. `now` gives the time for strftime_now. */
export function globalValues(now: () => Date): [string, Value][] {
  return [
    builtin('range', (args, named) => {
      if (named.size > 0) throw typeError('range() takes no keyword arguments');
      return range(args);
    }),
    builtin('dict', (args, named) => makeDict('dict', args, named)),
    builtin('namespace', (args, named) => new Namespace(makeDict('namespace', args, named))),
    builtin('cycler', (args) => new Cycler(args)),
    builtin('joiner', (args, named) =>
      joiner(new Arguments('joiner', ['sep'], args, named).getOr('sep', ', ')),
    ),
    builtin('lipsum', () => {
      throw new TemplateFault('NotImplementedError', 'lipsum() is not supported in chat templates');
    }),
    builtin('raise_exception', (args, named) => {
      const message = new Arguments('raise_exception', ['message'], args, named).need('message');
      throw new TemplateFault('TemplateError', plain(str(message)));
    }),
    builtin('strftime_now', (args, named) => {
      const format = new Arguments('strftime_now', ['format'], args, named).needText('format');
      return formatTime(plain(format), now());
    }),
  ];
}

function builtin(
  name: string,
  call: (args: readonly Value[], named: NamedArguments) => Value,
): [string, Value] {
  return [name, new Callable(name, call)];
}

function range(args: readonly Value[]): Value {
  if (args.length < 1 || args.length > 3) throw typeError('range expected 1 to 3 arguments');
  for (const arg of args) integerArgument(arg);
  const [first = 0n, second, third] = args.map((arg) => asInteger(arg));
  const made = second === undefined ? new Range(0n, first, 1n) : new Range(first, second, third ?? 1n);
  if (made.step === 0n) throw valueError('range() arg 3 must not be zero');
  if (made.length > LONGEST_RANGE) {
    throw new TemplateFault(
      'OverflowError',
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${LONGEST_RANGE}).`,
    );
  }
  return made;
}

function makeDict(name: string, args: readonly Value[], named: NamedArguments): Dict {
  if (args.length > 1) throw typeError(`${name} expected at most 1 argument, got ${args.length}`);
  const [given] = args;
  const dict =
    given instanceof Dict ? Dict.of(given.entries()) : Dict.of(given === undefined ? [] : pairs(given));
  for (const [key, value] of named) dict.set(key, value);
  return dict;
}

function pairs(value: Value): [Value, Value][] {
  return [...iterable(value)].map((pair) => {
    if (!isText(pair) && typeof pair !== 'object')
      throw typeError(`cannot convert '${typeName(pair)}' to a pair`);
    const [key, item, ...rest] = listOf(pair);
    if (key === undefined || item === undefined || rest.length > 0) {
      throw valueError('dictionary update sequence element does not have length 2');
    }
    return [key, item];
  });
}

function joiner(separator: Value): Value {
  let used = false;
  return new Callable('joiner', () => {
    if (!used) {
      used = true;
      return '';
    }
    return separator;
  });
}
