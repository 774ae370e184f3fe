import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { Tokenizer } from './tokenizer.js';

/** Each takes as much memory as the base's. */
const KEPT = 8;

/** The base's tokenizer, and those of adapters that have tokens of their own: the base's with theirs added. */
export class AdapterTokenizers {
  /** By their tokens, the last used at the end: adapters with the same tokens share one. */
  readonly #kept = new Map<string, Tokenizer>();

  constructor(readonly base: Tokenizer) {}

  /** Throws AppError where the base's tokenizer cannot take the tokens. */
  of(manifest: Pick<AdapterManifest, 'addedTokens'> | undefined): Tokenizer {
    const added = manifest?.addedTokens;
    if (added === undefined) return this.base;
    const key = JSON.stringify(added);
    const tokenizer = this.#kept.get(key) ?? this.base.withAdded(added);
    this.#kept.delete(key);
    this.#kept.set(key, tokenizer);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return tokenizer;
  }
}
