import { randomBytes } from 'node:crypto';
import { Column } from 'typeorm';
import type { SecretBox } from './secret-box.js';

const SECRET_BYTES = 32;

/** A new secret as Standard Webhooks writes it. */
export function makeSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
}

/** The columns of whatever signs or checks webhooks: its secret, and the one before while both are used. */
export class SigningSecrets {
  /** Sealed. */
  @Column('text')
  secret!: string;

  @Column('text', { name: 'previous_secret', nullable: true })
  previousSecret!: string | null;

  @Column('timestamptz', { name: 'previous_secret_expires_at', nullable: true })
  previousSecretExpiresAt!: Date | null;
}

/** Of the row `owner`. */
export function newSecrets(box: SecretBox, owner: string, secret: string): SigningSecrets {
  return { secret: box.seal(secret, owner), previousSecret: null, previousSecretExpiresAt: null };
}

/** The secrets after a rotation at `now`. */
export function rotated(
  { secret }: SigningSecrets,
  fresh: { readonly sealed: string; readonly overlap_s: number },
  now: Date,
): SigningSecrets {
  const keepsOld = fresh.overlap_s > 0;
  return {
    secret: fresh.sealed,
    previousSecret: keepsOld ? secret : null,
    previousSecretExpiresAt: keepsOld ? new Date(now.getTime() + fresh.overlap_s * 1000) : null,
  };
}

/** The secrets in use at `now`, the newest first. */
export function openSecrets(
  box: SecretBox,
  owner: string,
  { secret, previousSecret, previousSecretExpiresAt }: SigningSecrets,
  now: Date,
): [string, ...string[]] {
  const newest = box.open(secret, owner);
  const overlaps =
    previousSecret !== null && previousSecretExpiresAt !== null && previousSecretExpiresAt > now;
  return overlaps ? [newest, box.open(previousSecret, owner)] : [newest];
}

/** When the old secret ends, while it is still in use. */
export function overlapEnd({ previousSecretExpiresAt }: SigningSecrets, now: Date): string | null {
  return previousSecretExpiresAt && previousSecretExpiresAt > now
    ? previousSecretExpiresAt.toISOString()
    : null;
}
