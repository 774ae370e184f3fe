import type { AdapterManifest, AddedToken } from '#contracts/adapter-manifest.js';
import { AppError } from '#runtime/app-error.js';
import { AddedTokensCoder } from './added-tokens-coder.js';
import { newNonce } from './control-tokens.js';
import { FairTurns } from './fair-turns.js';
import type { AddedTokensData } from './added-tokens-protocol.js';
import type { TextCoder } from './text-coder.js';
import type { Tokenizer } from './tokenizer.js';

/** Each has a thread, and takes as much memory as the base's. */
const KEPT = 4;
/** Made at a time; a caller's others wait, so that many adapters of one hold up nobody else's. */
const MADE_AT_ONCE = 1;
const WAITING_PER_CALLER = 64;

/** A coder that gives back its memory when it rests, and goes on where it is asked again. */
export interface ThreadCoder extends TextCoder {
  rest(): void;
  close(): Promise<void>;
}

interface Kept {
  readonly coder: ThreadCoder;
  readonly tokenizer: Tokenizer;
}

/** The base's tokenizer, and those of adapters that have tokens of their own: the base's with theirs added. */
export class AdapterTokenizers {
  /** By their tokens, the last used at the end: adapters with the same tokens share one. */
  readonly #kept = new Map<string, Kept>();
  readonly #making = new Map<string, Promise<Tokenizer>>();
  readonly #turns = new FairTurns({
    slots: MADE_AT_ONCE,
    slotsPerCaller: MADE_AT_ONCE,
    waitingPerCaller: WAITING_PER_CALLER,
    now: () => performance.now(),
  });

  /** `open` makes a coder of the base's tokens and these. */
  constructor(
    readonly base: Tokenizer,
    private readonly open: (data: AddedTokensData) => Promise<ThreadCoder> = AddedTokensCoder.open,
  ) {}

  /** Throws AppError where the base's tokenizer cannot take the tokens. */
  async of(manifest: Pick<AdapterManifest, 'addedTokens'> | undefined, caller: string): Promise<Tokenizer> {
    const added = manifest?.addedTokens;
    if (added === undefined) return this.base;
    const key = JSON.stringify(added);
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#keep(key, kept);
      return kept.tokenizer;
    }
    let making = this.#making.get(key);
    if (making === undefined) {
      making = this.#make(key, added, caller).finally(() => this.#making.delete(key));
      this.#making.set(key, making);
    }
    return making;
  }

  async close(): Promise<void> {
    const all = [...this.#kept.values()];
    this.#kept.clear();
    await Promise.all(all.map(({ coder }) => coder.close()));
  }

  async #make(key: string, tokens: readonly AddedToken[], caller: string): Promise<Tokenizer> {
    const waiting = this.#turns.take(caller);
    if (waiting === undefined) throw new AppError('overloaded');
    const turn = await waiting;
    try {
      const { source } = this.base;
      const coder = await this.open({ source, tokens, nonce: newNonce() });
      const tokenizer = this.base.withAdded(tokens, coder);
      this.#keep(key, { coder, tokenizer });
      return tokenizer;
    } finally {
      turn.release();
    }
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const [oldest] = this.#kept;
    if (this.#kept.size <= KEPT || oldest === undefined) return;
    this.#kept.delete(oldest[0]);
    oldest[1].coder.rest();
  }
}
