import { allow, isAllowed, maskIn, publish } from '#grammar/thread/mask-slots.js';
import type { MaskPlace } from '#grammar/thread/protocol.js';
import type { MaskPool } from './mask-pool.js';
import { allowsAny, type TokenMask } from './token-mask.js';

/** The same tokens all the way, as the caller lists them. */
export class AllowedTokens implements TokenMask {
  readonly field = 'allowed_token_ids';
  readonly isReady = true;
  readonly #place: MaskPlace;
  readonly #mask: Int32Array;
  #isOver = false;

  constructor(
    private readonly pool: MaskPool,
    slot: number,
    tokens: readonly number[],
  ) {
    this.#place = { slot, number: pool.next(slot) };
    this.#mask = maskIn(pool.slots, slot);
    this.#mask.fill(0);
    for (const token of tokens) allow(this.#mask, token, true);
    publish(pool.slots, slot, this.#place.number);
  }

  place(): MaskPlace {
    return this.#place;
  }

  leavesAny(banned: ReadonlySet<number>): boolean {
    return allowsAny(this.#mask, banned);
  }

  read(): void {}

  guess(tokens: readonly number[]): number {
    const wrong = tokens.findIndex((token) => !isAllowed(this.#mask, token));
    return wrong === -1 ? tokens.length : wrong;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.pool.give(this.#place.slot);
  }
}
