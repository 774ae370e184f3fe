import { TemplateFault, typeError } from './errors.js';
import { isText, lengthOf, plain, type Text, characters } from './text.js';

/*
 * Python's values: None is null, int is bigint, float is number, list is an array; the rest are the classes below.
 */
export type Value = null | boolean | bigint | number | Text | Value[] | PyObject;

/** Whatever else a template can hold. */
export abstract class PyObject {
  abstract readonly typeName: string;

  /** An attribute by name; undefined when there is none. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }

  repr(): string {
    return `<${this.typeName} object>`;
  }
}

export class Tuple extends PyObject {
  override readonly typeName = 'tuple';

  constructor(readonly items: readonly Value[]) {
    super();
  }
}

/** An insertion-ordered dict; 1, 1.0 and True are one key, as in Python. */
export class Dict extends PyObject {
  override readonly typeName: string = 'dict';
  readonly #entries = new Map<HashKey, [Value, Value]>();

  static of(entries: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.set(key, value);
    return dict;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Value): boolean {
    return this.#entries.has(hashKey(key));
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1];
  }

  /** An existing key keeps its place and its first spelling. */
  set(key: Value, value: Value): void {
    const hash = hashKey(key);
    const present = this.#entries.get(hash);
    if (present === undefined) this.#entries.set(hash, [key, value]);
    else present[1] = value;
  }

  entries(): [Value, Value][] {
    return [...this.#entries.values()];
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }

  values(): Value[] {
    return this.entries().map(([, value]) => value);
  }
}

/** The name of nothing. Every use but printing, testing and iterating is an error. */
export class Undefined extends PyObject {
  override readonly typeName = 'Undefined';

  constructor(
    readonly message: string,
    readonly kind: 'UndefinedError' | 'SecurityError' = 'UndefinedError',
  ) {
    super();
  }

  fault(): TemplateFault {
    return new TemplateFault(this.kind, this.message);
  }

  override repr(): string {
    return 'Undefined';
  }
}

/** A one-shot iterator, as filters like `map` and `select` return. */
export class Generator extends PyObject {
  override readonly typeName: string = 'generator';

  constructor(readonly iterator: Iterator<Value>) {
    super();
  }

  override repr(): string {
    return '<generator object>';
  }
}

export function generatorOf(items: Iterable<Value>): Generator {
  return new Generator(items[Symbol.iterator]());
}

export class Range extends PyObject {
  override readonly typeName = 'range';

  constructor(
    readonly start: bigint,
    readonly stop: bigint,
    readonly step: bigint,
  ) {
    super();
  }

  get length(): number {
    const { start, stop, step } = this;
    const span = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    return span <= 0n ? 0 : Number((span + stride - 1n) / stride);
  }

  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }

  override repr(): string {
    const step = this.step === 1n ? '' : `, ${this.step}`;
    return `range(${this.start}, ${this.stop}${step})`;
  }
}

/** dict.keys(), .values(), .items(). */
export class DictView extends PyObject {
  constructor(
    override readonly typeName: 'dict_keys' | 'dict_values' | 'dict_items',
    readonly dict: Dict,
  ) {
    super();
  }

  items(): Value[] {
    if (this.typeName === 'dict_keys') return this.dict.keys();
    if (this.typeName === 'dict_values') return this.dict.values();
    return this.dict.entries().map((entry) => new Tuple(entry));
  }
}

export type NamedArguments = ReadonlyMap<string, Value>;

export class Callable extends PyObject {
  override readonly typeName: string = 'builtin_function_or_method';

  constructor(
    readonly name: string,
    readonly call: (args: readonly Value[], named: NamedArguments) => Value,
  ) {
    super();
  }

  override repr(): string {
    return `<built-in function ${this.name}>`;
  }
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (isText(value)) return 'str';
  return Array.isArray(value) ? 'list' : value.typeName;
}

/** int, float or bool: what Python calculates with. */
export function isNumber(value: Value): value is boolean | bigint | number {
  return typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean';
}

/** An int, or a bool as one. */
export function asInteger(value: Value): bigint | undefined {
  if (typeof value === 'bigint') return value;
  return typeof value === 'boolean' ? BigInt(value) : undefined;
}

export function truth(value: Value): boolean {
  if (value === null) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return value !== 0n;
  if (typeof value === 'number') return value !== 0;
  if (isText(value)) return plain(value) !== '';
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Undefined) return false;
  return sizeOf(value) !== 0;
}

/** The length of what has one. */
export function sizeOf(value: Value): number | undefined {
  if (isText(value)) return lengthOf(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof Range) return value.length;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Undefined) return 0;
  return undefined;
}

/** What a `for` over the value gives; throws Python's TypeError for what cannot be iterated. */
export function* iterate(value: Value): globalThis.Generator<Value, void, undefined> {
  if (isText(value)) yield* characters(value);
  else if (Array.isArray(value)) yield* value;
  else if (value instanceof Tuple) yield* value.items;
  else if (value instanceof Dict) yield* value.keys();
  else if (value instanceof DictView) yield* value.items();
  else if (value instanceof Range) for (let i = 0; i < value.length; i++) yield value.at(i);
  else if (value instanceof Generator) {
    for (let next = value.iterator.next(); next.done !== true; next = value.iterator.next()) yield next.value;
  } else if (!(value instanceof Undefined)) throw typeError(`'${typeName(value)}' object is not iterable`);
}

/** As `iterate`, but the fault comes at once and not at the first item. */
export function iterable(value: Value): Iterable<Value> {
  if (Array.isArray(value)) return value;
  if (isIterable(value)) return iterate(value);
  throw typeError(`'${typeName(value)}' object is not iterable`);
}

export function isIterable(value: Value): boolean {
  return value instanceof Generator || sizeOf(value) !== undefined;
}

export function listOf(value: Value): Value[] {
  return [...iterable(value)];
}

export type HashKey = string | bigint | number | symbol | null;

/** Equal values have keys that a Map takes for one; throws for what Python cannot hash. */
export function hashKey(key: Value): HashKey {
  if (isText(key)) return plain(key);
  if (key === null || typeof key === 'bigint') return key;
  if (typeof key === 'boolean') return BigInt(key);
  if (typeof key === 'number') return Number.isInteger(key) ? BigInt(key) : key;
  if (key instanceof Tuple) {
    const parts = key.items.map((item) => hashKey(item)).map((part) => `${typeof part} ${String(part)}`);
    return Symbol.for(JSON.stringify(parts));
  }
  if (Array.isArray(key) || key instanceof Dict) throw typeError(`unhashable type: '${typeName(key)}'`);
  return Symbol.for(`object ${identityOf(key)}`);
}

const identities = new WeakMap<PyObject, number>();
let nextIdentity = 0;
function identityOf(object: PyObject): number {
  if (object instanceof Undefined) return -1;
  let identity = identities.get(object);
  if (identity === undefined) identities.set(object, (identity = nextIdentity++));
  return identity;
}
