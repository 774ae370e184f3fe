/** Of the time that is computed, what may be lost to guesses that turn out not to pay. */
const LOST_SHARE = 0.005;
/** In steps: what may be lost at first, and how much of what was gained may be lost again. */
const FIRST_STEPS = 3;
const KEPT_STEPS = 16;

/**
 * What speculation has gained and lost. What may be lost grows with the time that the engine computes, so whatever is
 * believed of drafts, requests come to at most about that share later than without them.
 */
export class TimeLedger {
  #credit_ms: number | undefined;
  /** Spent on requests that have not yet brought it in again. */
  #owed_ms = 0;

  /** Below 0: more was lost than may be. */
  get credit_ms(): number {
    return this.#credit_ms ?? 0;
  }

  get owed_ms(): number {
    return this.#owed_ms;
  }

  /** What may be owed in all, where steps take so long. */
  limit_ms(step_ms: number): number {
    return 4 * KEPT_STEPS * step_ms;
  }

  /** A step of `took_ms` is over; one like it without drafts takes `step_ms`. */
  earn(took_ms: number, step_ms: number): void {
    this.#credit_ms ??= FIRST_STEPS * step_ms;
    this.gain(took_ms * LOST_SHARE, step_ms);
  }

  gain(ms: number, step_ms: number): void {
    this.#credit_ms = Math.min(this.credit_ms + ms, Math.max(this.credit_ms, KEPT_STEPS * step_ms));
  }

  owe(ms: number): void {
    this.#owed_ms += ms;
  }

  /** It was brought in. */
  repay(ms: number): void {
    this.#owed_ms -= ms;
  }

  /** It will not be. */
  writeOff(ms: number): void {
    this.#owed_ms -= ms;
    this.#credit_ms = this.credit_ms - ms;
  }
}
