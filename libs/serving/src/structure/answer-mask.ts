import { StructureError } from '#grammar/errors.js';
import type { GrammarThread } from '#grammar/thread/grammar-thread.js';
import { isAllowed, type MaskSlots, maskIn } from '#grammar/thread/mask-slots.js';
import type { MaskPool } from './mask-pool.js';

export interface AnswerMaskOptions {
  readonly thread: Pick<GrammarThread, 'begin' | 'advance' | 'end'>;
  readonly pool: MaskPool;
  readonly slot: number;
  readonly grammar: string;
  readonly field: string;
  /** Tokens that end an answer beside the base model's. */
  readonly ends: readonly number[];
  /** A mask that was asked for is there. */
  readonly onReady: () => void;
  /** There will be no more masks. */
  readonly onFailed: (error: unknown) => void;
}

/** Which tokens one answer may go on with: made by the grammar thread while the step multiplies that needs it. */
export class AnswerMask {
  readonly slot: number;
  #number: number;
  #matcher: number | undefined;
  #isOver = false;
  /** Questions that the thread has not answered: until then it may write to the slot. */
  #open = 1;

  constructor(private readonly options: AnswerMaskOptions) {
    this.slot = options.slot;
    this.#number = options.pool.next(options.slot);
    void this.#begin();
  }

  /** Of the mask of the next token. */
  get number(): number {
    return this.#number;
  }

  get isReady(): boolean {
    return Atomics.load(this.#slots.numbers, this.slot) === this.#number;
  }

  /** Whether the mask, which has to be ready, allows a token beside the banned ones. */
  leavesAny(banned: ReadonlySet<number>): boolean {
    const mask = maskIn(this.#slots, this.slot);
    for (let token = 0; token < mask.length * 32; token++)
      if (isAllowed(mask, token) && !banned.has(token)) return true;
    return false;
  }

  /** The caller's field that wished for it. */
  get field(): string {
    return this.options.field;
  }

  /** A token was drawn: the mask of the one behind it is asked for. */
  read(token: number): void {
    this.#number = this.options.pool.next(this.slot);
    this.#open++;
    void this.#ask([token]);
  }

  /** No step reads the mask any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#matcher !== undefined) this.options.thread.end(this.#matcher);
    this.#giveBack();
  }

  get #slots(): MaskSlots {
    return this.options.pool.slots;
  }

  async #begin(): Promise<void> {
    const { thread, grammar, ends } = this.options;
    try {
      this.#matcher = await thread.begin(grammar, ends);
    } catch (error) {
      this.#fail(error);
      this.#answered();
      return;
    }
    if (this.#isOver) {
      thread.end(this.#matcher);
      this.#answered();
    } else await this.#ask([]);
  }

  async #ask(tokens: readonly number[]): Promise<void> {
    const place = { slot: this.slot, number: this.#number };
    try {
      const { accepted } = await this.options.thread.advance(this.#matcher as number, tokens, place);
      if (accepted < tokens.length)
        throw new StructureError('internal', 'a token that was allowed did not fit');
      if (!this.#isOver) this.options.onReady();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#answered();
    }
  }

  #fail(error: unknown): void {
    if (!this.#isOver) this.options.onFailed(error);
  }

  #answered(): void {
    this.#open--;
    this.#giveBack();
  }

  #giveBack(): void {
    if (this.#isOver && this.#open === 0) this.options.pool.give(this.slot);
  }
}
