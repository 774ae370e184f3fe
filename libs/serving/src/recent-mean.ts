/** How much the newest value counts. */
const NEWEST = 0.2;

/** A mean in which older values count less and less. */
export class RecentMean {
  #value: number | undefined;

  /** Undefined before the first. */
  get value(): number | undefined {
    return this.#value;
  }

  add(value: number): void {
    this.#value = this.#value === undefined ? value : this.#value + (value - this.#value) * NEWEST;
  }
}
