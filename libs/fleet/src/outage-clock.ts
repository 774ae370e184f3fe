/** What a restart takes before one was seen. */
const FIRST_GUESS_S = 10;
const LONGEST_S = 60;

/** Guesses when a fleet that cannot serve will serve again: after as long as it took the last time. */
export class OutageClock {
  /** Undefined: it serves, or never has. */
  #began_ms: number | undefined;
  #last_s = FIRST_GUESS_S;

  /** `now_ms`: a monotonic clock. */
  constructor(private readonly now_ms: () => number = () => performance.now()) {}

  note(isServing: boolean): void {
    if (!isServing) this.#began_ms ??= this.now_ms();
    else if (this.#began_ms !== undefined) {
      this.#last_s = Math.min(LONGEST_S, Math.max(1, (this.now_ms() - this.#began_ms) / 1000));
      this.#began_ms = undefined;
    }
  }

  /** Seconds that a caller should wait; one that lasts longer than the last may last as long again. */
  get retryAfter_s(): number {
    const passed_s = this.#began_ms === undefined ? 0 : (this.now_ms() - this.#began_ms) / 1000;
    return Math.max(1, Math.ceil(this.#last_s - (passed_s % this.#last_s)));
  }
}
