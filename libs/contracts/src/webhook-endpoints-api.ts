import { z } from 'zod';
import { DOMAIN_EVENT_TYPES, DomainEventTypeSchema } from './domain-events.js';
import { listOf, PageQuerySchema, TimeSchema } from './resource.js';
import { storable } from './storable.js';

/** `/v1/webhook-endpoints/...`: who is told, by signed webhooks, of what happens to a tenant's adapters. */

const EndpointUrlSchema = z
  .string()
  .max(2048)
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'expected an http(s) URL')
  .refine((text) => {
    if (!URL.canParse(text)) return true;
    const { username, password } = new URL(text);
    return username === '' && password === '';
  }, 'expected a URL without user and password: the signature tells who sends');

export const ALL_EVENTS = '*';
const EventsSchema = z
  .array(z.enum([...DOMAIN_EVENT_TYPES, ALL_EVENTS]))
  .min(1)
  .transform((events) => [...new Set(events)])
  .describe('Types to be told of; `*`: all, also those to come');

export const WebhookEndpointSchema = z.object({
  id: z.string(),
  object: z.literal('webhook_endpoint'),
  url: z.string(),
  events: z.array(z.union([DomainEventTypeSchema, z.literal(ALL_EVENTS)])),
  description: z.string().nullable(),
  enabled: z.boolean(),
  /** Why the server itself disabled it. */
  disabled_reason: z.string().nullable(),
  /** When the first of the failures began that no success has followed. */
  failing_since: TimeSchema.nullable(),
  previous_secret_expires_at: TimeSchema.nullable(),
  created_at: TimeSchema,
  updated_at: TimeSchema,
});
export type WebhookEndpointResource = z.infer<typeof WebhookEndpointSchema>;
export const WebhookEndpointListSchema = listOf(WebhookEndpointSchema);

export const CreateWebhookEndpointSchema = storable(
  z.strictObject({
    url: EndpointUrlSchema,
    events: EventsSchema,
    description: z.string().max(500).optional(),
  }),
);
export type CreateWebhookEndpoint = z.infer<typeof CreateWebhookEndpointSchema>;

export const PatchWebhookEndpointSchema = storable(
  z.strictObject({
    url: EndpointUrlSchema.optional(),
    events: EventsSchema.optional(),
    description: z.string().max(500).nullable().optional(),
    enabled: z.boolean().optional(),
  }),
);
export type PatchWebhookEndpoint = z.infer<typeof PatchWebhookEndpointSchema>;

export const CreatedWebhookEndpointSchema = WebhookEndpointSchema.extend({ secret: z.string() });
export type CreatedWebhookEndpoint = z.infer<typeof CreatedWebhookEndpointSchema>;

export const WEBHOOK_DELIVERY_STATES = ['pending', 'succeeded', 'failed'] as const;

export const WebhookAttemptSchema = z.object({
  number: z.int().positive(),
  at: TimeSchema,
  duration_ms: z.int().nonnegative(),
  /** Null: no answer came. */
  status: z.int().nullable(),
  error: z.string().nullable(),
  /** The start of the answer's body. */
  response_excerpt: z.string().nullable(),
});
export type WebhookAttempt = z.infer<typeof WebhookAttemptSchema>;

export const WebhookDeliverySchema = z.object({
  id: z.string(),
  object: z.literal('webhook_delivery'),
  endpoint: z.string(),
  /** The header of every attempt; a receiver that knows it has had the event already. */
  webhook_id: z.string(),
  type: z.string(),
  state: z.enum(WEBHOOK_DELIVERY_STATES),
  attempts: z.int().nonnegative(),
  last_status: z.int().nullable(),
  last_error: z.string().nullable(),
  next_attempt_at: TimeSchema.nullable(),
  created_at: TimeSchema,
  finished_at: TimeSchema.nullable(),
});
export type WebhookDeliveryResource = z.infer<typeof WebhookDeliverySchema>;
export const WebhookDeliveryListSchema = listOf(WebhookDeliverySchema);

export const WebhookDeliveryQuerySchema = PageQuerySchema.extend({
  state: z.enum(WEBHOOK_DELIVERY_STATES).optional(),
});
export type WebhookDeliveryQuery = z.infer<typeof WebhookDeliveryQuerySchema>;

/** One delivery with what was sent and every attempt, newest first. */
export const WebhookDeliveryDetailSchema = WebhookDeliverySchema.extend({
  payload: z.record(z.string(), z.unknown()),
  attempt_log: z.array(WebhookAttemptSchema),
});
export type WebhookDeliveryDetail = z.infer<typeof WebhookDeliveryDetailSchema>;
