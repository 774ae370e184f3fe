import { isAllowed } from '#grammar/thread/mask-slots.js';
import type { MaskPlace } from '#grammar/thread/protocol.js';

/** Which tokens an answer may go on with, in the memory that its steps read. */
export interface TokenMask {
  /** The caller's field that wished for it. */
  readonly field: string;
  readonly isReady: boolean;
  /** Where the mask of the token behind the last known one and `guesses` more is, or will be. */
  place(guesses: number): MaskPlace;
  /** Whether the mask, which has to be ready, allows a token beside the banned ones. */
  leavesAny(banned: ReadonlySet<number>): boolean;
  /** Tokens were drawn. */
  read(tokens: readonly number[]): void;
  /** The next step would guess these tokens: how many of them it may. */
  guess(tokens: readonly number[]): number;
  /** No step reads the mask any more. */
  end(): void;
}

export function allowsAny(mask: Int32Array, banned: ReadonlySet<number>): boolean {
  for (let token = 0; token < mask.length * 32; token++)
    if (isAllowed(mask, token) && !banned.has(token)) return true;
  return false;
}
