import { z } from 'zod';
import { DescriptionSchema, LabelsSchema, NameSchema, PageQuerySchema, TimeSchema } from './resource.js';
import { VERSION_STATES, VersionStateSchema } from './version-state.js';

/** Where a version comes from: what it was trained from, by which job, and how good it was found. */

const VERSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DIGEST = /^[0-9a-f]{64}$/;
const VERSION_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}@[1-9][0-9]{0,8}$/;

export const ParentReferenceSchema = z
  .string()
  .refine(
    (text) => VERSION_ID.test(text) || DIGEST.test(text) || VERSION_NAME.test(text),
    'expected a version as `adapter@3`, its id, or a digest of 64 hex digits',
  )
  .describe(
    'A version as `adapter@3`, its id, or a digest (which may be of a version that is not stored here)',
  );
export const isVersionId = (reference: string): boolean => VERSION_ID.test(reference);
export const isDigest = (reference: string): boolean => DIGEST.test(reference);

export const VersionMetricsSchema = z
  .record(z.string().min(1).max(128), z.union([z.number(), z.string().max(1024), z.boolean(), z.null()]))
  .refine((metrics) => Object.keys(metrics).length <= 256, 'expected at most 256 metrics');
export type VersionMetrics = z.infer<typeof VersionMetricsSchema>;

const TrainingJobSchema = z.string().min(1).max(255).describe('The name of the training that made it');

/** What an uploader says of a version beside its files. */
export const VersionFactsSchema = z.strictObject({
  description: DescriptionSchema.optional(),
  labels: LabelsSchema.optional(),
  parents: z.array(ParentReferenceSchema).max(16).optional(),
  training_job: TrainingJobSchema.optional(),
  metrics: VersionMetricsSchema.optional(),
});
export type VersionFacts = z.infer<typeof VersionFactsSchema>;

/** Each field that is given replaces what stood there; null takes it away. */
export const PatchVersionSchema = VersionFactsSchema.extend({
  description: DescriptionSchema.nullable().optional(),
  training_job: TrainingJobSchema.nullable().optional(),
});
export type PatchVersion = z.infer<typeof PatchVersionSchema>;

/** A parent as it was when it was named; it may have been deleted since. */
export const VersionParentSchema = z.object({
  id: z.string().nullable(),
  digest: z.string().nullable(),
  /** `adapter@3` */
  version: z.string().nullable(),
});
export type VersionParent = z.infer<typeof VersionParentSchema>;

export const VersionFilterSchema = PageQuerySchema.extend({
  include: z.enum(['report']).optional().describe('`report`: with each version its whole report'),
  state: VersionStateSchema.optional(),
  digest: z.string().regex(DIGEST, 'expected 64 hex digits in lower case').optional(),
  training_job: TrainingJobSchema.optional(),
  label: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe('`key=value` or `key`; given several times, all must hold'),
});
export type VersionFilter = z.infer<typeof VersionFilterSchema>;

export const VersionSearchSchema = VersionFilterSchema.pick({
  limit: true,
  after: true,
  include: true,
  digest: true,
  training_job: true,
});
export type VersionSearch = z.infer<typeof VersionSearchSchema>;

export const LineageQuerySchema = z.object({
  depth: z.coerce.number().int().min(1).max(32).default(8).describe('How many generations either way'),
});

export const LineageNodeSchema = z.object({
  /** The version's id, or the digest of a parent that is not stored here. */
  key: z.string(),
  relation: z.enum(['self', 'ancestor', 'descendant']),
  /** Generations between it and the version asked for. */
  distance: z.int().nonnegative(),
  id: z.string().nullable(),
  adapter: NameSchema.nullable(),
  version: z.int().nullable(),
  digest: z.string().nullable(),
  /** `unknown`: deleted, or never stored here. */
  state: z.enum([...VERSION_STATES, 'unknown']),
  description: z.string().nullable(),
  labels: LabelsSchema,
  training_job: z.string().nullable(),
  metrics: VersionMetricsSchema,
  created_at: TimeSchema.nullable(),
});
export type LineageNode = z.infer<typeof LineageNodeSchema>;

export const LineageSchema = z.object({
  object: z.literal('adapter.lineage'),
  /** The version asked for first, then by distance. */
  nodes: z.array(LineageNodeSchema),
  /** By the nodes' keys. */
  edges: z.array(z.object({ parent: z.string(), child: z.string() })),
  /** There are more nodes than are shown. */
  truncated: z.boolean(),
});
export type Lineage = z.infer<typeof LineageSchema>;
