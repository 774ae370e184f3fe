import { equals } from './comparison.js';
import { typeError } from './errors.js';
import { Callable, Tuple, Undefined, type Value } from './values.js';

/** A loop's items, taken from the iterable only as far as the loop or its attributes look. */
export class LoopItems {
  readonly #pulled: Value[] = [];
  readonly #iterator: Iterator<Value>;
  #done = false;

  constructor(items: Iterable<Value>) {
    this.#iterator = items[Symbol.iterator]();
  }

  at(index: number): Value | undefined {
    while (!this.#done && this.#pulled.length <= index) {
      const next = this.#iterator.next();
      if (next.done === true) this.#done = true;
      else this.#pulled.push(next.value);
    }
    return this.#pulled[index];
  }

  get length(): number {
    this.at(Number.POSITIVE_INFINITY);
    return this.#pulled.length;
  }
}

/** The `loop` of a for block. */
export class LoopContext extends Callable {
  override readonly typeName = 'LoopContext';
  #index = -1;
  #lastChanged: Tuple | undefined;
  readonly #items: LoopItems;
  readonly #depth: number;

  constructor(items: LoopItems, depth: number, recurse: ((over: Value, depth: number) => Value) | undefined) {
    super('loop', (args) => {
      if (recurse === undefined)
        throw typeError("The loop must have the 'recursive' marker to be called recursively.");
      if (args.length !== 1) throw typeError('loop() takes exactly one argument');
      return recurse(args[0] as Value, depth + 1);
    });
    this.#items = items;
    this.#depth = depth;
  }

  advance(): void {
    this.#index++;
  }

  override attribute(name: string): Value | undefined {
    const index = this.#index;
    switch (name) {
      case 'index':
        return BigInt(index + 1);
      case 'index0':
        return BigInt(index);
      case 'revindex':
        return BigInt(this.#items.length - index);
      case 'revindex0':
        return BigInt(this.#items.length - index - 1);
      case 'first':
        return index === 0;
      case 'last':
        return this.#items.at(index + 1) === undefined;
      case 'length':
        return BigInt(this.#items.length);
      case 'depth':
        return BigInt(this.#depth + 1);
      case 'depth0':
        return BigInt(this.#depth);
      case 'previtem':
        return index === 0 ? new Undefined('there is no previous item') : this.#items.at(index - 1);
      case 'nextitem':
        return this.#following();
      case 'cycle':
        return new Callable(name, (args) => this.#cycle(args));
      case 'changed':
        return new Callable(name, (args) => this.#changed(args));
      default:
        return undefined;
    }
  }

  #following(): Value {
    const next = this.#items.at(this.#index + 1);
    return next === undefined ? new Undefined('there is no next item') : next;
  }

  #cycle(args: readonly Value[]): Value {
    if (args.length === 0) throw typeError('no items for cycling given');
    return args[this.#index % args.length] as Value;
  }

  #changed(args: readonly Value[]): boolean {
    const value = new Tuple(args);
    if (this.#lastChanged !== undefined && equals(this.#lastChanged, value)) return false;
    this.#lastChanged = value;
    return true;
  }

  override repr(): string {
    return `<LoopContext ${this.#index + 1}/${this.#items.length}>`;
  }
}
