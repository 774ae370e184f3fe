import { Webhook, WebhookVerificationError } from 'standardwebhooks';

/** The headers of a message by Standard Webhooks. */
export interface SignatureHeaders {
  readonly 'webhook-id': string;
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
}

export interface SignedMessage {
  readonly id: string;
  /** Exactly the bytes that are sent. */
  readonly body: string;
}

/** The headers for one attempt: the id stays, the time is the attempt's; one signature for each secret in use. */
export function signHeaders(
  secrets: readonly string[],
  { id, body }: SignedMessage,
  now: Date,
): SignatureHeaders {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, now, body)).join(' '),
  };
}

/**
 * Whether some signature of the message was made with one of the secrets, not longer than five minutes ago. Each
 * comparison takes the same time whatever is compared.
 */
export function isSigned(
  secrets: readonly string[],
  headers: Partial<SignatureHeaders>,
  body: Buffer,
): boolean {
  const given = {
    'webhook-id': headers['webhook-id'] ?? '',
    'webhook-timestamp': headers['webhook-timestamp'] ?? '',
    'webhook-signature': headers['webhook-signature'] ?? '',
  };
  return secrets.map((secret) => verifies(secret, given, body)).includes(true);
}

function verifies(secret: string, headers: SignatureHeaders, body: Buffer): boolean {
  try {
    new Webhook(secret).verify(body, { ...headers }, { jsonParse: false });
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}
