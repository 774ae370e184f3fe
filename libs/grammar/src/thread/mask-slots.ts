/*
 * Where masks go from the grammar thread to whoever samples. A slot belongs to one sequence of the batch as long as its
 * owner says. The protocol:
 *  1. The owner picks the number that the slot's next mask shall have: one more than the last, from 1 on, and asks
 *     `GrammarThread.advance` for it.
 *  2. The thread writes the mask, then stores the number with `Atomics.store` and wakes waiters with `Atomics.notify`.
 *  3. The reader waits until the slot's number is the one it wants (`Atomics.wait`, or an atomic load with acquire order in
 *     native code; the word is a 32-bit integer), and reads the mask before it asks for another.
 * A number's negative says that there is no mask and will be none: the tokens did not fit, or the matcher failed. A thread that
 * dies in between is started anew, catches up, and answers then; the reader only waits longer.
 */

export interface MaskSlots {
  /** Int32 [slots]: the number of the mask that each slot holds. */
  readonly numbers: Int32Array<SharedArrayBuffer>;
  /** Int32 [slots, words]: bit t of a mask, lowest first, is 1 where token t may come next. */
  readonly masks: Int32Array<SharedArrayBuffer>;
  /** Of one mask: ceil(vocabulary size / 32). */
  readonly words: number;
}

export function maskSlots(slots: number, vocabularySize: number): MaskSlots {
  const words = Math.ceil(vocabularySize / 32);
  return {
    numbers: new Int32Array(new SharedArrayBuffer(slots * 4)),
    masks: new Int32Array(new SharedArrayBuffer(slots * words * 4)),
    words,
  };
}

/** The mask that a slot holds; a view, not a copy. */
export const maskIn = ({ masks, words }: MaskSlots, slot: number): Int32Array =>
  masks.subarray(slot * words, (slot + 1) * words);

export function publish({ numbers }: MaskSlots, slot: number, number: number): void {
  Atomics.store(numbers, slot, number);
  Atomics.notify(numbers, slot);
}

export const isAllowed = (mask: Int32Array, token: number): boolean =>
  (((mask[token >> 5] as number) >> (token & 31)) & 1) === 1;

export function allow(mask: Int32Array, token: number, isAllowed: boolean): void {
  const bit = 1 << (token & 31);
  const word = mask[token >> 5] as number;
  mask[token >> 5] = isAllowed ? word | bit : word & ~bit;
}
