import { z } from 'zod';
import { ERROR_CODES } from './errors.js';
import { listOf, TimeSchema } from './resource.js';

/** `GET /v1/history` and, over all tenants, `GET /v1/admin/history`: what the charts show, by time. */

export const HISTORY_STEPS = ['1m', '5m', '15m', '1h', '6h', '1d'] as const;
export const HistoryStepSchema = z.enum(HISTORY_STEPS);
export type HistoryStep = z.infer<typeof HistoryStepSchema>;

const MomentSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

const RangeSchema = z.strictObject({
  from: MomentSchema.optional().describe('Default: an hour before `to`; rounded down to the step'),
  to: MomentSchema.optional().describe('Default: now'),
  step: HistoryStepSchema.optional().describe('Time of one point; default: such that there are at most 360'),
});

export const HistoryQuerySchema = RangeSchema.extend({
  adapter: z
    .string()
    .optional()
    .describe('Only of this adapter, as it is called; `-`: only of the base model without one'),
}).strict();
export type HistoryQuery = z.infer<typeof HistoryQuerySchema>;

export const AdminHistoryQuerySchema = HistoryQuerySchema.extend({
  tenant: z.string().optional().describe('Only of this tenant, by name or id'),
}).strict();
export type AdminHistoryQuery = z.infer<typeof AdminHistoryQuerySchema>;

export const EngineHistoryQuerySchema = RangeSchema.extend({
  engine: z.string().optional().describe('Only of the engine of this name'),
}).strict();
export type EngineHistoryQuery = z.infer<typeof EngineHistoryQuerySchema>;

/** Percentiles come from buckets that grow by 26 %; null: there was none. */
export const TimesSchema = z.object({
  count: z.int(),
  mean_ms: z.number().nullable(),
  p50_ms: z.number().nullable(),
  p95_ms: z.number().nullable(),
  p99_ms: z.number().nullable(),
});
export type Times = z.infer<typeof TimesSchema>;

export const FiguresSchema = z.object({
  requests: z.int(),
  errors: z.int(),
  error_codes: z.partialRecord(z.enum(ERROR_CODES), z.int()),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  completion_tokens: z.int(),
  ttft: TimesSchema,
  tpot: TimesSchema,
  /** From the arrival at an engine to the first step. */
  queue: TimesSchema,
  goodput: z.object({
    /** Requests within GOODPUT_TTFT_MS and GOODPUT_TPOT_MS, and their completion tokens. */
    requests: z.int(),
    tokens: z.int(),
    /** Of all that were answered or failed by a fault of the server; null: there was none. */
    share: z.number().nullable(),
  }),
});
export type FiguresResource = z.infer<typeof FiguresSchema>;

export const HistoryPointSchema = FiguresSchema.extend({
  /** Start of the step. */
  at: TimeSchema,
});
export type HistoryPoint = z.infer<typeof HistoryPointSchema>;

const RANGE = { from: TimeSchema, to: TimeSchema, step_s: z.int() };

/** Steps without a request are left out. */
export const HistoryListSchema = listOf(HistoryPointSchema).extend(RANGE);
export type HistoryList = z.infer<typeof HistoryListSchema>;

export const EnginePointSchema = z.object({
  engine: z.string(),
  at: TimeSchema,
  /** Of the time, while an API watched. */
  ready_share: z.number(),
  running_requests: z.number(),
  most_running_requests: z.int(),
  waiting_requests: z.number(),
  most_waiting_requests: z.int(),
  queued_tokens: z.number(),
  /** Of the KV cache's pages. */
  kv_share: z.number(),
  /** Of the bytes for adapters; how many are resident. */
  adapter_share: z.number(),
  adapters: z.number(),
});
export type EnginePoint = z.infer<typeof EnginePointSchema>;

/** Means over each step; steps in which no API saw the engine are left out. */
export const EngineHistoryListSchema = listOf(EnginePointSchema).extend(RANGE);
export type EngineHistoryList = z.infer<typeof EngineHistoryListSchema>;
