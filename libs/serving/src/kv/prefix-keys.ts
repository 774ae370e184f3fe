import { hash } from 'node:crypto';

/** What must be equal before two requests may share anything. */
export interface PrefixScope {
  /** Tenants have different salts. */
  readonly cacheSalt: string;
  /** The version's digest; undefined: the base model. */
  readonly adapter: string | undefined;
  /** What the adapter's deltas are multiplied by. */
  readonly scale: number;
}

/** The parent key of every first page in the scope. */
export function scopeKey({ cacheSalt, adapter, scale }: PrefixScope): string {
  return hash('sha256', JSON.stringify(['lorikeet.prefix.v1', cacheSalt, adapter ?? null, scale]));
}

/**
 * The names of a sequence's full pages: the SHA-256 (hex) of the page's tokens and the key of the page before, so a key
 * stands for the scope and for every token up to the end of its page. Equal keys are taken for equal tokens.
 */
export class PrefixKeys {
  readonly #keys: string[] = [];

  constructor(
    readonly scope: string,
    private readonly pageTokens: number,
  ) {}

  /** Those that were asked for so far. */
  get known(): readonly string[] {
    return this.#keys;
  }

  /** The keys of the first `pages` pages; `tokens` must cover them. */
  of(tokens: Int32Array, pages: number): readonly string[] {
    while (this.#keys.length < pages) {
      const begin = this.#keys.length * this.pageTokens;
      const parent = this.#keys.at(-1) ?? this.scope;
      this.#keys.push(pageKey(parent, tokens.subarray(begin, begin + this.pageTokens)));
    }
    return this.#keys;
  }
}

const KEY_CHARACTERS = 64;
let scratch = Buffer.alloc(0);

function pageKey(parent: string, tokens: Int32Array): string {
  const size = KEY_CHARACTERS + tokens.length * 4;
  if (scratch.length !== size) scratch = Buffer.alloc(size);
  scratch.write(parent, 0, 'latin1');
  for (let i = 0; i < tokens.length; i++) scratch.writeInt32LE(tokens[i] as number, KEY_CHARACTERS + i * 4);
  return hash('sha256', scratch);
}
