/** Requests with bodies that one iteration of the event loop takes up; a 401 costs about half a millisecond. */
const PER_ITERATION = 3;

/**
 * Hundreds of requests may become readable at once. They are taken up some at a time, so that whoever comes next waits
 * for a few of them instead of all.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #left = PER_ITERATION;
  #isPlanned = false;

  /** Resolves when it is the caller's turn; undefined: at once. */
  take(): Promise<void> | undefined {
    this.#plan();
    if (this.#left > 0) {
      this.#left -= 1;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      const next = this.#waiting.splice(0, PER_ITERATION);
      this.#left = PER_ITERATION - next.length;
      if (next.length > 0) this.#plan();
      for (const resolve of next) resolve();
    });
  }
}
