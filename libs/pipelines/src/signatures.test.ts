import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { makeSecret } from './secrets/signing-secret.js';
import { isSigned, signHeaders } from './signatures.js';

const now = new Date();
const [first, second] = [makeSecret(), makeSecret()];
const message = { id: 'msg_1', body: '{"type":"a"}' };
const body = Buffer.from(message.body);

describe('signatures', () => {
  it('are those of Standard Webhooks: HMAC-SHA-256 over id, time and body', () => {
    const headers = signHeaders([first], message, now);
    const key = Buffer.from(first.slice('whsec_'.length), 'base64');
    const signed = `msg_1.${headers['webhook-timestamp']}.${message.body}`;
    const expected = createHmac('sha256', key).update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${expected}`);
  });

  it('hold for any secret in use, whichever of several signatures is its own', () => {
    const headers = signHeaders([first, second], message, now);
    for (const secret of [first, second]) expect(isSigned([secret], headers, body)).toBe(true);
    expect(isSigned([makeSecret(), second], signHeaders([second], message, now), body)).toBe(true);
    expect(isSigned([makeSecret()], headers, body)).toBe(false);
  });

  it.each([
    ['no headers', {}],
    ['another body', { body: '{"type":"b"}' }],
    ['another id', { 'webhook-id': 'msg_2' }],
    ['another time', { 'webhook-timestamp': String(Math.floor(now.getTime() / 1000) - 1) }],
    ['no number as time', { 'webhook-timestamp': 'now' }],
    ['a version without signature', { 'webhook-signature': 'v1' }],
    ['another version', { 'webhook-signature': 'v2,abc' }],
  ])('do not hold with %s', (what, changed) => {
    const { body: other = message.body, ...headers } = changed as { body?: string };
    const signed = what === 'no headers' ? {} : { ...signHeaders([first], message, now), ...headers };
    expect(isSigned([first], signed, Buffer.from(other))).toBe(false);
  });
});
