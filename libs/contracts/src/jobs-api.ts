import { z } from 'zod';
import { listOf, TimeSchema } from './resource.js';

/** `/v1/admin/jobs`: background work as the queue knows it. */

/** Of a list over all states in this order. */
export const JOB_STATES = ['active', 'waiting', 'delayed', 'failed', 'completed'] as const;
export const JobStateSchema = z.enum(JOB_STATES);

export const JobProgressSchema = z.object({
  /** What is being done, e.g. `validating`. */
  stage: z.string(),
  done: z.number().optional(),
  /** What `done` will be at the end, in the same unit. */
  total: z.number().optional(),
});

export const JobSchema = z.object({
  id: z.string(),
  object: z.literal('job'),
  /** The kind of job, e.g. `ingest-adapter`. */
  queue: z.string(),
  state: JobStateSchema,
  /** What it works on. */
  data: z.unknown(),
  progress: JobProgressSchema.nullable(),
  /** How often it was begun. */
  attempts: z.int(),
  /** Why the last attempt failed. */
  failure: z.string().nullable(),
  created_at: TimeSchema,
  due_at: TimeSchema.nullable(),
  started_at: TimeSchema.nullable(),
  ended_at: TimeSchema.nullable(),
});
export type JobResource = z.infer<typeof JobSchema>;

const COUNTS_FIELDS = Object.fromEntries(JOB_STATES.map((state) => [state, z.int()])) as Record<
  (typeof JOB_STATES)[number],
  z.ZodInt
>;
export const JobCountsSchema = z.object(COUNTS_FIELDS);

export const JobQueueSchema = z.object({
  id: z.string(),
  object: z.literal('job_queue'),
  counts: JobCountsSchema,
});
export type JobQueueResource = z.infer<typeof JobQueueSchema>;
export const JobQueueListSchema = listOf(JobQueueSchema);

export const JobListSchema = listOf(JobSchema).extend({
  /** Jobs in these states, on all pages. */
  total: z.int(),
});
export type JobList = z.infer<typeof JobListSchema>;

export const JobWithLogsSchema = JobSchema.extend({
  /** The last lines, oldest first. */
  logs: z.array(z.string()),
});
export type JobWithLogs = z.infer<typeof JobWithLogsSchema>;

const STATES = JOB_STATES.join('|');
export const JobQuerySchema = z.strictObject({
  state: z
    .string()
    .regex(
      new RegExp(`^(${STATES})(,(${STATES}))*$`),
      `expected a comma-separated list of ${JOB_STATES.join(', ')}`,
    )
    .optional()
    .describe('Comma-separated; absent: all'),
  limit: z.coerce.number().int().min(1).max(1000).default(20),
  after: z
    .string()
    .regex(/^\d{1,9}$/, "expected the last page's last_id")
    .optional(),
});
export type JobQuery = z.infer<typeof JobQuerySchema>;
