import type { AddedToken } from '#contracts/adapter-manifest.js';
import type { TokenBytesRule } from './token-bytes.js';

interface TokenNames {
  nameOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
}

interface Tables {
  readonly bytes: readonly (Uint8Array | undefined)[];
  /** Text of the tokens whose bytes are whole characters; undefined for the others. */
  readonly wholeText: readonly (string | undefined)[];
  readonly special: Uint8Array;
  readonly longest: number;
}

/** Tokens of a tokenizer: for each id its name, the bytes that it stands for, and whether it is special. */
export class Vocabulary {
  private constructor(
    private readonly rule: TokenBytesRule,
    private readonly names: TokenNames,
    private readonly tables: Tables,
  ) {}

  /** `isSpecial` by id. */
  static of(
    tokens: Readonly<Record<string, number>>,
    rule: TokenBytesRule,
    names: TokenNames,
    special: ReadonlySet<number>,
  ): Vocabulary {
    const entries = Object.entries(tokens);
    const size = entries.reduce((most, [, id]) => Math.max(most, id + 1), 0);
    const tables = tablesOf(rule, size, entries, { special, longest: 1 });
    return new Vocabulary(rule, names, tables);
  }

  /** The same and more tokens, whose ids go on from its own. */
  plus(added: readonly AddedToken[]): Vocabulary {
    const { names, rule, tables } = this;
    const nameOf = new Map(added.map(({ id, content }) => [id, content]));
    const idOf = new Map(added.map(({ id, content }) => [content, id]));
    const size = added.reduce((most, { id }) => Math.max(most, id + 1), this.size);
    const special = new Set(added.filter((token) => token.special).map(({ id }) => id));
    const more = tablesOf(rule, size, [...idOf], { special, longest: this.longest });
    const joined = {
      bytes: more.bytes.map((own, id) => own ?? tables.bytes[id]),
      wholeText: more.wholeText.map((own, id) => (id < this.size ? tables.wholeText[id] : own)),
      special: more.special,
      longest: more.longest,
    };
    more.special.set(tables.special);
    const both = {
      nameOf: (id: number) => nameOf.get(id) ?? names.nameOf(id),
      idOf: (token: string) => idOf.get(token) ?? names.idOf(token),
    };
    return new Vocabulary(rule, both, joined);
  }

  /** Ids from 0 to here are known. */
  get size(): number {
    return this.tables.bytes.length;
  }

  /** Characters, or bytes, of the longest. */
  get longest(): number {
    return this.tables.longest;
  }

  get stripsLeadingSpace(): boolean {
    return this.rule.stripsLeadingSpace;
  }

  nameOf(id: number): string | undefined {
    return this.names.nameOf(id);
  }

  idOf(token: string): number | undefined {
    return this.names.idOf(token);
  }

  isSpecial(id: number): boolean {
    return this.tables.special[id] === 1;
  }

  bytesOf(id: number): Uint8Array | undefined {
    return this.tables.bytes[id];
  }

  wholeTextOf(id: number): string | undefined {
    return this.tables.wholeText[id];
  }
}

function tablesOf(
  rule: TokenBytesRule,
  size: number,
  tokens: Iterable<readonly [string, number]>,
  begin: { readonly special: ReadonlySet<number>; readonly longest: number },
): Tables & { readonly special: Uint8Array } {
  const bytes: (Uint8Array | undefined)[] = Array.from({ length: size });
  const wholeText: (string | undefined)[] = Array.from({ length: size });
  const special = new Uint8Array(size);
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let { longest } = begin;
  for (const [token, id] of tokens) {
    const own = rule.toBytes(token);
    longest = Math.max(longest, token.length, own.length);
    bytes[id] = own;
    wholeText[id] = textOf(strict, own);
  }
  for (const id of begin.special) special[id] = 1;
  return { bytes, wholeText, special, longest };
}

function textOf(strict: TextDecoder, bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
