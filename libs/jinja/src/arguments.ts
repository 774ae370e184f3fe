import { typeError } from './errors.js';
import { isText, plain, type Text } from './text.js';
import { asInteger, type NamedArguments, typeName, Undefined, type Value } from './values.js';

/**
 * A call's arguments, read by position or name. `names` in the order of their positions; a name that starts with `/` can
 * only be given by position.
 */
export class Arguments {
  readonly #values = new Map<string, Value>();

  constructor(
    private readonly of: string,
    names: readonly string[],
    args: readonly Value[],
    named: NamedArguments,
  ) {
    if (args.length > names.length) {
      throw typeError(`${of}() takes at most ${names.length} arguments (${args.length} given)`);
    }
    for (const [i, value] of args.entries()) this.#values.set((names[i] as string).replace('/', ''), value);
    for (const [name, value] of named) {
      if (!names.includes(name)) throw typeError(`${of}() got an unexpected keyword argument '${name}'`);
      if (this.#values.has(name)) throw typeError(`${of}() got multiple values for argument '${name}'`);
      this.#values.set(name, value);
    }
  }

  get(name: string): Value | undefined {
    return this.#values.get(name);
  }

  /** None that was given is None: only an argument that was not given has its default. */
  getOr<T extends Value>(name: string, fallback: T): Value | T {
    const value = this.#values.get(name);
    return value === undefined ? fallback : value;
  }

  need(name: string): Value {
    const value = this.#values.get(name);
    if (value === undefined) throw typeError(`${this.of}() missing required argument: '${name}'`);
    return value;
  }

  /** None counts as not given. */
  text(name: string): Text | undefined {
    const value = this.#values.get(name) ?? null;
    if (value === null) return undefined;
    return textArgument(value, `${this.of}() argument`);
  }

  needText(name: string): Text {
    return textArgument(this.need(name), `${this.of}() argument`);
  }

  integer(name: string): number | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : integerArgument(value);
  }
}

function textArgument(value: Value, what: string): Text {
  if (isText(value)) return value;
  if (value instanceof Undefined) throw value.fault();
  throw typeError(`${what} must be str, not ${typeName(value)}`);
}

/** An index or a count: numbers beyond any length are cut. */
export function integerArgument(value: Value): number {
  const integer = asInteger(value);
  if (integer !== undefined)
    return Number(BigInt.asIntN(53, integer) === integer ? integer : integer > 0n ? 2n ** 52n : -(2n ** 52n));
  if (value instanceof Undefined) throw value.fault();
  throw typeError(`'${typeName(value)}' object cannot be interpreted as an integer`);
}

export function plainArgument(value: Value, what: string): string {
  return plain(textArgument(value, what));
}
