import { z } from 'zod';
import { listOf, NameSchema, TimeSchema } from './resource.js';

/** Query of `PUT /internal/engines/{name}`: an engine says that it is there. */
export const EngineRegistrationSchema = z.strictObject({
  instance: z.string().min(1).max(100),
  url: z.string().max(2_000).refine(isOrigin, 'expected http://host:port'),
});
export type EngineRegistration = z.infer<typeof EngineRegistrationSchema>;

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
}

/** `/v1/admin/engines`: what the operator sees of the data plane. */

export const ENGINE_STATES = ['loading', 'ready', 'draining', 'failed', 'unreachable'] as const;

const ServedVersionSchema = z.object({ tenant: NameSchema, adapter: NameSchema, version: z.int() });

const ResidentAdapterSchema = z.object({
  digest: z.string(),
  bytes: z.int(),
  /** Requests that pin it: its memory is freed only after the last one. */
  requests: z.int(),
  /** Versions with these very bytes, at most 10; none: deleted. */
  versions: z.array(ServedVersionSchema),
});

export const EngineSchema = z.object({
  /** Host and port, as in ENGINE_URLS or as it registered itself. */
  id: z.string(),
  object: z.literal('engine'),
  /** ENGINE_NAME; null until it has answered once. */
  name: z.string().nullable(),
  state: z.enum(ENGINE_STATES),
  /** From ENGINE_URLS, or because it registered itself. */
  source: z.enum(['setting', 'registration']),
  /** Why it does not answer. */
  error: z.string().nullable(),
  device: z.string().nullable(),
  started_at: TimeSchema.nullable(),
  uptime_s: z.number().nullable(),
  base_model: z
    .object({
      name: z.string(),
      digest: z.string(),
      architecture: z.string(),
      quantization: z.string(),
      max_context: z.int(),
    })
    .nullable(),
  load: z.object({
    running_requests: z.int(),
    waiting_requests: z.int(),
    queued_tokens: z.int(),
    /** Streams that this API process has open to it. */
    open_streams: z.int(),
  }),
  kv: z.object({
    pages: z.int(),
    free_pages: z.int(),
    cached_pages: z.int().nullable(),
    page_tokens: z.int(),
    bytes: z.int(),
  }),
  /** What the model holds of the device's memory; null unless it is open. */
  memory: z
    .object({
      weight_bytes: z.int(),
      kv_bytes: z.int(),
      adapter_bytes: z.int(),
      /** Activations, and what steps have made the device take beside them. */
      scratch_bytes: z.int(),
    })
    .nullable(),
  adapters: z.object({
    bytes: z.int(),
    limit_bytes: z.int(),
    host_bytes: z.int().nullable(),
    resident: z.array(ResidentAdapterSchema),
  }),
});
export type EngineResource = z.infer<typeof EngineSchema>;
export const EngineListSchema = listOf(EngineSchema);
