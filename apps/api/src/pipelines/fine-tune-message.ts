import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { FINE_TUNE_EVENTS, FineTuneEnvelopeSchema, isFineTuneEvent } from '#contracts/fine-tune-events.js';
import { holdsNul } from '#contracts/storable.js';
import type { InboundMessage } from '#pipelines/hooks/inbound-rules.js';
import { AppError } from '#runtime/app-error.js';
import { requestFault } from '../inference/request-fault.js';

const MAX_ID_LENGTH = 256;

/** A signed message as what it says. Throws invalid_request, which names the field at fault. */
export function parseMessage(webhookId: string, body: Buffer): InboundMessage {
  if (webhookId.length > MAX_ID_LENGTH) {
    const message = `webhook-id: expected at most ${MAX_ID_LENGTH} characters`;
    throw new AppError('invalid_request', { message, param: 'webhook-id' });
  }
  const { type, data } = parse(FineTuneEnvelopeSchema, jsonOf(body));
  const known = isFineTuneEvent(type) ? type : undefined;
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  const checked = known === undefined ? data : parse<object>(FINE_TUNE_EVENTS[known], data, 'data');
  return { webhookId, bodySha256, type, data: { ...checked }, known };
}

function jsonOf(body: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (holdsNul(value)) throw new AppError('invalid_request', { message: 'expected text without U+0000' });
    return value;
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('invalid_request', { message: 'The body is not valid JSON.', cause: error });
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, at?: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw requestFault(
    result.error.issues.map((issue) => ({
      ...issue,
      path: [...(at === undefined ? [] : [at]), ...issue.path],
    })),
  );
}
