import { z } from 'zod';
import { VersionStateSchema } from './adapters-api.js';
import { AuditEntrySchema } from './audit-api.js';
import { JobQueueSchema } from './jobs-api.js';
import { MaintenanceSchema } from './maintenance-api.js';
import { TimeSchema } from './resource.js';

/** `GET /v1/admin/overview`: everything on an operator's first page, in one answer. */

const CheckSchema = z.enum(['up', 'down']);

export const OverviewSchema = z.object({
  object: z.literal('overview'),
  created_at: TimeSchema,
  checks: z.object({ database: CheckSchema, queue: CheckSchema, engine: CheckSchema }),
  maintenance: MaintenanceSchema,
  base_model: z.string().nullable(),
  engines: z.object({
    total: z.int(),
    ready: z.int(),
    running_requests: z.int(),
    waiting_requests: z.int(),
    queued_tokens: z.int(),
    kv_pages: z.int(),
    kv_free_pages: z.int(),
    adapter_bytes: z.int(),
    adapter_limit_bytes: z.int(),
  }),
  tenants: z.object({ active: z.int(), suspended: z.int() }),
  adapters: z.int(),
  versions: z.record(VersionStateSchema, z.int()),
  /** Null: the queue does not answer. */
  queues: z.array(JobQueueSchema).nullable(),
  /** The last 60 minutes in which there was a request, oldest first. */
  usage: z.array(
    z.object({
      minute: TimeSchema,
      requests: z.int(),
      errors: z.int(),
      prompt_tokens: z.int(),
      cached_tokens: z.int(),
      completion_tokens: z.int(),
    }),
  ),
  /** The last 10. */
  audit: z.array(AuditEntrySchema),
});
export type Overview = z.infer<typeof OverviewSchema>;
