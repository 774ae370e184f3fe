import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

const VERSION = 'v1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

interface SealingKey {
  /** Tells which of several keys sealed a text; says nothing of the key itself. */
  readonly id: string;
  readonly bytes: Buffer;
}

/**
 * Encrypts what must be read back, such as the secrets that sign webhooks: AES-256-GCM, bound to the row that holds
 * the text, so that a sealed text copied to another row does not open.
 */
export class SecretBox {
  readonly #keys: readonly [SealingKey, ...SealingKey[]];

  /** The first key seals; all of them open. */
  constructor(keys: readonly [string, ...string[]]) {
    const [first, ...others] = keys;
    this.#keys = [derive(first), ...others.map(derive)];
  }

  seal(text: string, owner: string): string {
    const [{ id, bytes }] = this.#keys;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', bytes, nonce).setAAD(Buffer.from(owner));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return [VERSION, id, Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')].join('.');
  }

  /** Throws when SECRETS_KEY no longer lists the key, or the text belongs to another owner. */
  open(text: string, owner: string): string {
    const [version, id, body] = text.split('.');
    const key = this.#keys.find((candidate) => candidate.id === id);
    if (version !== VERSION || !key || body === undefined)
      throw new Error('a stored secret was encrypted with a key that SECRETS_KEY does not list');
    const bytes = Buffer.from(body, 'base64url');
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce)
      .setAAD(Buffer.from(owner))
      .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const opened = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
    return Buffer.concat([opened, decipher.final()]).toString('utf8');
  }
}

function derive(key: string): SealingKey {
  const bytes = Buffer.from(hkdfSync('sha256', key, '', 'lorikeet secrets', KEY_BYTES));
  return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 8), bytes };
}
