import type { SecretBox } from './secret-box.js';
import { makeSecret, rotated, type SigningSecrets } from './signing-secret.js';

export interface Rotation {
  /** What its owner reads, this once. */
  readonly secret: string;
  readonly columns: SigningSecrets;
}

/** A new secret for the row `owner`, beside the old one for `overlap_s`. */
export function rotate(
  box: SecretBox,
  { owner, secrets, overlap_s }: { owner: string; secrets: SigningSecrets; overlap_s: number },
  now: Date,
): Rotation {
  const secret = makeSecret();
  return { secret, columns: rotated(secrets, { sealed: box.seal(secret, owner), overlap_s }, now) };
}
