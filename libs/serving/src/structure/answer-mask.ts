import { StructureError } from '#grammar/errors.js';
import type { GrammarThread } from '#grammar/thread/grammar-thread.js';
import { isAllowed, type MaskSlots, maskIn } from '#grammar/thread/mask-slots.js';
import type { MaskPlace } from '#grammar/thread/protocol.js';
import type { MaskPool } from './mask-pool.js';
import { allowsAny, type TokenMask } from './token-mask.js';

export interface AnswerMaskOptions {
  readonly thread: Pick<GrammarThread, 'begin' | 'advance' | 'guess' | 'end'>;
  readonly pool: MaskPool;
  readonly slot: number;
  readonly grammar: string;
  readonly field: string;
  /** Tokens that end an answer beside the base model's. */
  readonly ends: readonly number[];
  /** Those that may be drawn whatever the grammar allows; undefined: all. */
  readonly only: readonly number[] | undefined;
  /** A mask that was asked for is there. */
  readonly onReady: () => void;
  /** There will be no more masks. */
  readonly onFailed: (error: unknown) => void;
}

/** The masks behind the guesses of one step. */
interface Guesses {
  readonly places: readonly MaskPlace[];
  /** The thread writes to them no more. */
  isAnswered: boolean;
  /** No step reads them any more. */
  isOver: boolean;
}

/**
 * Which tokens one answer may go on with: made by the grammar thread while the step multiplies that needs it, and where the
 * step checks guesses, also for the tokens behind each of them.
 */
export class AnswerMask implements TokenMask {
  readonly slot: number;
  #number: number;
  #matcher: number | undefined;
  #isOver = false;
  #guesses: Guesses | undefined;
  /** Questions that the thread has not answered: until then it may write to the slot. */
  #open = 1;

  constructor(private readonly options: AnswerMaskOptions) {
    this.slot = options.slot;
    this.#number = options.pool.next(options.slot);
    void this.#begin();
  }

  place(guesses: number): MaskPlace {
    if (guesses === 0) return { slot: this.slot, number: this.#number };
    const place = this.#guesses?.places[guesses - 1];
    if (place === undefined) throw new Error(`${guesses} guesses have no mask`);
    return place;
  }

  get isReady(): boolean {
    return Atomics.load(this.#slots.numbers, this.slot) === this.#number;
  }

  leavesAny(banned: ReadonlySet<number>): boolean {
    return allowsAny(maskIn(this.#slots, this.slot), banned);
  }

  get field(): string {
    return this.options.field;
  }

  /** Asks for the mask of the token behind them. */
  read(tokens: readonly number[]): void {
    this.#forgetGuesses();
    this.#number = this.options.pool.next(this.slot);
    this.#open++;
    void this.#ask(tokens);
  }

  /** Asks for the masks behind them. */
  guess(tokens: readonly number[]): number {
    this.#forgetGuesses();
    const matcher = this.#matcher;
    const [first] = tokens;
    if (matcher === undefined || first === undefined) return 0;
    if (this.isReady && !isAllowed(maskIn(this.#slots, this.slot), first)) return 0;
    const { pool } = this.options;
    const places = pool.takeGuesses(tokens.length).map((slot) => ({ slot, number: pool.next(slot) }));
    if (places.length === 0) return 0;
    const guesses = { places, isAnswered: false, isOver: false };
    this.#guesses = guesses;
    this.#open++;
    void this.#askGuesses(matcher, tokens.slice(0, places.length), guesses);
    return places.length;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#forgetGuesses();
    if (this.#matcher !== undefined) this.options.thread.end(this.#matcher);
    this.#giveBack();
  }

  get #slots(): MaskSlots {
    return this.options.pool.slots;
  }

  async #begin(): Promise<void> {
    const { thread, grammar, ends, only } = this.options;
    try {
      this.#matcher = await thread.begin(grammar, { ends, only });
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

  async #askGuesses(matcher: number, tokens: readonly number[], guesses: Guesses): Promise<void> {
    try {
      await this.options.thread.guess(matcher, tokens, guesses.places);
    } catch (error) {
      this.#fail(error);
    } finally {
      guesses.isAnswered = true;
      this.#free(guesses);
      this.#answered();
    }
  }

  #forgetGuesses(): void {
    const guesses = this.#guesses;
    this.#guesses = undefined;
    if (guesses === undefined) return;
    guesses.isOver = true;
    this.#free(guesses);
  }

  #free({ places, isAnswered, isOver }: Guesses): void {
    if (isAnswered && isOver) for (const { slot } of places) this.options.pool.give(slot);
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
