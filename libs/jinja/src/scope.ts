import { Undefined, type Value } from './values.js';

/** Names and what they stand for. An assignment stays in its scope; reading goes outwards. */
export class Scope {
  readonly #names = new Map<string, Value>();

  constructor(
    private readonly parent: Scope | undefined,
    /** HTML is escaped in what is printed. */
    readonly autoescape: boolean = parent?.autoescape ?? false,
  ) {}

  find(name: string): Value | undefined {
    const value = this.#names.get(name);
    return value === undefined ? this.parent?.find(name) : value;
  }

  get(name: string): Value {
    const value = this.find(name);
    return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}
