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

/** Where an activated LoRA takes over from the base model. */
export interface PrefixBranch {
  readonly adapter: string;
  readonly scale: number;
  /** The first token that it computes. */
  readonly from: number;
}

/**
 * The names of a sequence's full pages: the SHA-256 (hex) of the page's tokens and the key of the page before, so a key
 * stands for the scope and for every token up to the end of its page. Equal keys are taken for equal tokens. From the page
 * on in which an activated LoRA begins, keys also stand for that LoRA and for where it begins: another prompt with the same
 * page may invoke it later.
 */
export class PrefixKeys {
  readonly #keys: string[] = [];
  #branchScope: string | undefined;

  constructor(
    readonly scope: string,
    private readonly pageTokens: number,
    readonly branch?: PrefixBranch,
  ) {}

  /** The first page that is not the scope's alone; infinite: all are. */
  get branchPage(): number {
    return this.branch === undefined
      ? Number.POSITIVE_INFINITY
      : Math.floor(this.branch.from / this.pageTokens);
  }

  /** The parent key of the page `branchPage`; `tokens` must cover the pages before it. */
  branchScope(tokens: Int32Array): string {
    if (this.#branchScope === undefined) {
      const { adapter, scale, from } = this.branch as PrefixBranch;
      const before = this.of(tokens, this.branchPage)[this.branchPage - 1] ?? this.scope;
      this.#branchScope = hash(
        'sha256',
        JSON.stringify(['lorikeet.branch.v1', before, adapter, scale, from]),
      );
    }
    return this.#branchScope;
  }

  /** Those that were asked for so far. */
  get known(): readonly string[] {
    return this.#keys;
  }

  /** The keys of the first `pages` pages; `tokens` must cover them. */
  of(tokens: Int32Array, pages: number): readonly string[] {
    while (this.#keys.length < pages) {
      const page = this.#keys.length;
      const begin = page * this.pageTokens;
      const parent = page === this.branchPage ? this.branchScope(tokens) : (this.#keys.at(-1) ?? this.scope);
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
