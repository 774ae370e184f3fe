import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { FINE_TUNE_EVENTS, FineTuneEnvelopeSchema, isFineTuneEvent } from '#contracts/fine-tune-events.js';
import type { InboundMessage } from '#pipelines/hooks/inbound-rules.js';
import { AppError } from '#runtime/app-error.js';
import { parseJson } from '#runtime/edge/parse-json.js';
import { requestFault } from '#runtime/request-fault.js';

const MAX_ID_LENGTH = 256;

/** A signed message as what it says. Throws invalid_request, which names the field at fault. */
export function parseMessage(webhookId: string, body: Buffer): InboundMessage {
  if (webhookId.length > MAX_ID_LENGTH) {
    const message = `webhook-id: expected at most ${MAX_ID_LENGTH} characters`;
    throw new AppError('invalid_request', { message, param: 'webhook-id' });
  }
  const { type, data } = parse(FineTuneEnvelopeSchema, parseJson(body));
  const known = isFineTuneEvent(type) ? type : undefined;
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  const checked = known === undefined ? data : parse<object>(FINE_TUNE_EVENTS[known], data, 'data');
  return { webhookId, bodySha256, type, data: { ...checked }, known };
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
