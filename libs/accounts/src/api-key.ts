import { createHash, randomBytes } from 'node:crypto';

export type KeyKind = 'tenant' | 'operator';

/** What a key of each kind begins with, so that a key that was leaked can be told by its looks. */
const BEGINNINGS = { tenant: 'lk_', operator: 'lko_' } as const satisfies Record<KeyKind, string>;
const FORM = /^(lk_|lko_)[A-Za-z0-9_-]{43}$/;
/** Characters of the secret that stay visible. */
const SHOWN_LENGTH = 7;

/** A new key: 256 random bits. Nobody can read it back, since only its hash is stored. */
export function makeKey(kind: KeyKind): {
  readonly key: string;
  readonly sha256: string;
  readonly prefix: string;
} {
  const beginning = BEGINNINGS[kind];
  const key = `${beginning}${randomBytes(32).toString('base64url')}`;
  return { key, sha256: hashKey(key), prefix: key.slice(0, beginning.length + SHOWN_LENGTH) };
}

/** Whose key a text could be; undefined: it is none of ours. */
export function kindOfKey(text: string): KeyKind | undefined {
  const beginning = FORM.exec(text)?.[1];
  if (beginning === undefined) return undefined;
  return beginning === BEGINNINGS.operator ? 'operator' : 'tenant';
}

/** What is stored; a plain hash is enough because the key itself is as random as a hash. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
