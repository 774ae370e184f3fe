import type { FastifyRequest } from 'fastify';
import type { SignatureHeaders } from '#pipelines/signatures.js';

/** The headers of Standard Webhooks that a request has. */
export function signatureOf({ headers }: FastifyRequest): Partial<SignatureHeaders> {
  const one = (name: keyof SignatureHeaders) => {
    const value = headers[name];
    return typeof value === 'string' && value !== '' ? { [name]: value } : {};
  };
  return { ...one('webhook-id'), ...one('webhook-timestamp'), ...one('webhook-signature') };
}
