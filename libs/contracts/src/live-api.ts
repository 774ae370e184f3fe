import { z } from 'zod';
import { FiguresSchema } from './history-api.js';
import { TimeSchema } from './resource.js';

/** `GET /v1/live` and, over all tenants, `GET /v1/admin/live`: once as JSON, or every second as server-sent events. */

export const LiveFiguresSchema = z.object({
  object: z.literal('live'),
  at: TimeSchema,
  /** Means over the last 10 seconds, of every API process. */
  per_second: z.object({
    requests: z.number(),
    errors: z.number(),
    prompt_tokens: z.number(),
    completion_tokens: z.number(),
    /** Completion tokens of requests within the limits of goodput. */
    good_tokens: z.number(),
  }),
  /** Requests that ended in the last 60 seconds. */
  last_minute: FiguresSchema,
});
export type LiveFigures = z.infer<typeof LiveFiguresSchema>;

export const AdminLiveSchema = LiveFiguresSchema.extend({
  engines: z.array(
    z.object({
      name: z.string(),
      state: z.string(),
      running_requests: z.int(),
      waiting_requests: z.int(),
      queued_tokens: z.int(),
      kv_share: z.number(),
      adapters: z.int(),
      /** Rows that one second of computing was worth in its full batches; null: not measured yet. */
      tokens_per_second: z.number().nullable(),
      /** Its rate of late, of what the same steps take without adapters; null: not measured, or nothing computed of late. */
      ceiling_share: z.number().nullable(),
      /** That rate: tokens of one second of computing, in steps as they were of late. */
      ceiling_tokens_per_second: z.number().nullable(),
    }),
  ),
  /** Of all engines: the rate that is left with adapters, by what each engine took for steps without; null: not measured. */
  ceiling_share: z.number().nullable(),
  /** Tokens computed now, of what the engines' full batches computed; null: not measured yet. */
  capacity_share: z.number().nullable(),
});
export type AdminLive = z.infer<typeof AdminLiveSchema>;
