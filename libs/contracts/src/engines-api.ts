import { z } from 'zod';
import { ADAPTER_MOVES } from './engine-protocol.js';
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

const NamedAdapterSchema = z.object({
  digest: z.string(),
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
  /** Why DEVICE=auto took the CPU; null: it did not. */
  device_reason: z.string().nullable(),
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
    /** Those that make room for others first come first. */
    resident: z.array(ResidentAdapterSchema),
    /** Whose weights lie in the host's memory, on the device or not. */
    host: z.array(NamedAdapterSchema),
    /** For which requests wait: on their way to the device. */
    waiting: z.array(NamedAdapterSchema.extend({ requests: z.int() })),
    /** What moved last, newest first. */
    moves: z.array(
      NamedAdapterSchema.extend({
        kind: z.enum(ADAPTER_MOVES),
        /** When it ended. */
        at: TimeSchema,
        seconds: z.number(),
        failed: z.boolean(),
      }),
    ),
    /** What a load to the device takes by where it begins; null until it was measured. */
    load_seconds: z.object({ host: z.number().nullable(), storage: z.number().nullable() }),
  }),
  batch: z.object({
    /** Requests that one step can hold; null: the engine does not say. */
    max_sequences: z.int().nullable(),
    /** Tokens that one step can compute. */
    max_step_tokens: z.int().nullable(),
    /** Tokens that a step has computed of late. */
    rows_per_step: z.number().nullable(),
  }),
});
export type EngineResource = z.infer<typeof EngineSchema>;
export const EngineListSchema = listOf(EngineSchema);

/** `GET /v1/admin/engines/{engine}/fit`: what adapters of a shape would cost, before there are any. */
export const FitQuerySchema = z.strictObject({
  rank: z.coerce.number().int().min(1).max(4096),
  modules: z.string().min(1).max(4000).describe('Kinds of modules, e.g. `q_proj,v_proj`, or `all-linear`'),
  adapters: z.coerce.number().int().min(1).max(1_000_000).default(1).describe('How many of them'),
});
export type FitQuery = z.infer<typeof FitQuerySchema>;

export const FitSchema = z.object({
  object: z.literal('engine.fit'),
  rank: z.int(),
  /** Kinds of modules that were found. */
  modules: z.array(z.string()),
  /** Modules of the base that each adapter changes. */
  module_count: z.int(),
  adapters: z.int(),
  /** Of one, on the device, in float32: the most that it can take. */
  bytes_each: z.int(),
  bytes: z.int(),
  limit_bytes: z.int(),
  /** How many of them the device holds at once. */
  fit_at_once: z.int(),
  /** Those that come from the host, or from storage, when they are called. */
  beyond: z.int(),
  /** Share of the speed without adapters that is left while answers are written, by the bytes that a step reads: an estimate. */
  speed: z.object({
    /** Every request with the same adapter. */
    one_adapter: z.number(),
    /** A full batch, each request with another one. */
    all_different: z.number(),
    /** Requests in that batch. */
    batch: z.int(),
  }),
});
export type Fit = z.infer<typeof FitSchema>;
