import { createHash, randomBytes } from 'node:crypto';

const FORM = /^lk_[A-Za-z0-9_-]{43}$/;
const PREFIX_LENGTH = 10;

/** A new key: 256 random bits. Nobody can read it back, since only its hash is stored. */
export function makeKey(): { readonly key: string; readonly sha256: string; readonly prefix: string } {
  const key = `lk_${randomBytes(32).toString('base64url')}`;
  return { key, sha256: hashKey(key), prefix: key.slice(0, PREFIX_LENGTH) };
}

/** Whether a text could be one of our keys at all. */
export function isKey(text: string): boolean {
  return FORM.test(text);
}

/** What is stored; a plain hash is enough because the key itself is as random as a hash. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
