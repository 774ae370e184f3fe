import { type MaskSlots, maskSlots } from '#grammar/thread/mask-slots.js';

const MOST_NUMBER = 2 ** 30;

/**
 * The places for masks: each belongs to one answer at a time, and its numbers go on from one owner to the next. Those of the
 * masks behind guesses are apart, so that guesses never take an answer's.
 */
export class MaskPool {
  readonly slots: MaskSlots;
  readonly #free: number[];
  readonly #freeGuesses: number[];
  readonly #last: Int32Array;

  constructor(
    private readonly answers: number,
    guesses: number,
    vocabularySize: number,
  ) {
    const count = answers + guesses;
    this.slots = maskSlots(count, vocabularySize);
    this.#free = Array.from({ length: answers }, (_, i) => answers - 1 - i);
    this.#freeGuesses = Array.from({ length: guesses }, (_, i) => count - 1 - i);
    this.#last = new Int32Array(count);
  }

  /** Undefined: all are taken. */
  take(): number | undefined {
    return this.#free.pop();
  }

  /** Places for the masks behind so many guesses, or as many as there are. */
  takeGuesses(most: number): number[] {
    return this.#freeGuesses.splice(Math.max(0, this.#freeGuesses.length - most)).reverse();
  }

  /** The number of the slot's next mask. */
  next(slot: number): number {
    const last = this.#last[slot] as number;
    const number = last >= MOST_NUMBER ? 1 : last + 1;
    this.#last[slot] = number;
    return number;
  }

  /** Nobody reads or writes its mask any more. */
  give(slot: number): void {
    (slot < this.answers ? this.#free : this.#freeGuesses).push(slot);
  }
}
