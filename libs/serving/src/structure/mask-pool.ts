import { type MaskSlots, maskSlots } from '#grammar/thread/mask-slots.js';

const MOST_NUMBER = 2 ** 30;

/** The places for masks: each belongs to one answer at a time, and its numbers go on from one owner to the next. */
export class MaskPool {
  readonly slots: MaskSlots;
  readonly #free: number[];
  readonly #last: Int32Array;

  constructor(count: number, vocabularySize: number) {
    this.slots = maskSlots(count, vocabularySize);
    this.#free = Array.from({ length: count }, (_, i) => count - 1 - i);
    this.#last = new Int32Array(count);
  }

  /** Undefined: all are taken. */
  take(): number | undefined {
    return this.#free.pop();
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
    this.#free.push(slot);
  }
}
