import { z } from 'zod';
import {
  AdapterProblemSchema,
  AdapterReportSchema,
  AdapterWarningSchema,
  FieldReportSchema,
  TensorReportSchema,
} from './adapter-report.js';
import { ActorSchema } from './audit-api.js';
import { DerivationSchema } from './derivations-api.js';
import { ImportFromSchema, ImportProgressSchema } from './imports-api.js';
import { ArmedGuardSchema, GuardBreachSchema, GuardSchema, ShadowSchema } from './alias-trials.js';
import {
  type VersionFacts,
  VersionFactsSchema,
  VersionMetricsSchema,
  VersionParentSchema,
} from './lineage-api.js';
import { ParitySchema } from './parity.js';
import {
  DescriptionSchema,
  LabelsSchema,
  listOf,
  NameSchema,
  PageQuerySchema,
  TimeSchema,
} from './resource.js';
import { VersionBaseSchema } from './revalidation-api.js';
import { VersionStateSchema } from './version-state.js';

/** `/v1/adapters/...`: adapters, their versions and aliases. */

export const AdapterSchema = z.object({
  id: z.string(),
  object: z.literal('adapter'),
  name: NameSchema,
  description: z.string().nullable(),
  base_model: z.string().nullable(),
  labels: LabelsSchema,
  /** Null: it has none. */
  newest_version: z
    .object({ version: z.int().positive(), state: VersionStateSchema, created_at: TimeSchema })
    .nullable(),
  created_at: TimeSchema,
  updated_at: TimeSchema,
});
export type AdapterResource = z.infer<typeof AdapterSchema>;
export const AdapterListSchema = listOf(AdapterSchema);

export const CreateAdapterSchema = z.strictObject({
  name: NameSchema,
  description: DescriptionSchema.optional(),
  base_model: z.string().min(1).max(255).optional(),
  labels: LabelsSchema.optional(),
});
export type CreateAdapter = z.infer<typeof CreateAdapterSchema>;

export const PatchAdapterSchema = z.strictObject({
  description: DescriptionSchema.nullable().optional(),
  labels: LabelsSchema.optional(),
});
export type PatchAdapter = z.infer<typeof PatchAdapterSchema>;

export const AdapterQuerySchema = PageQuerySchema.extend({
  label: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe('`key=value` or `key`; given several times, all must hold'),
  name: z.string().min(1).max(128).optional().describe('A part of its name, in any case'),
  state: VersionStateSchema.optional().describe('It has a version in this state'),
  digest: z
    .string()
    .regex(/^[0-9a-f]{4,64}$/, 'expected 4 to 64 hex digits in lower case')
    .optional()
    .describe('It has a version whose digest begins so'),
});
export type AdapterQuery = z.infer<typeof AdapterQuerySchema>;

/** A flag in the query: present without a value also means true. */
const FlagSchema = z.enum(['true', 'false', '']).optional();
export const DeleteQuerySchema = z.object({ force: FlagSchema });
export const UploadQuerySchema = z.object({
  create: FlagSchema.describe('Create the adapter if there is none'),
  require_base_match: FlagSchema.describe(
    'Refuse the adapter unless its base_model_name_or_path names the base model that is served',
  ),
  wait: z.coerce
    .number()
    .min(0)
    .max(600)
    .default(0)
    .describe('Hold the answer up to so many seconds until the version is ready or rejected'),
});
export type UploadQuery = z.infer<typeof UploadQuerySchema>;
export const isSet = (flag: z.infer<typeof FlagSchema>): boolean => flag === 'true' || flag === '';

export { VERSION_STATES, VersionStateSchema, type VersionState } from './version-state.js';

export const VersionSchema = z.object({
  id: z.string(),
  object: z.literal('adapter.version'),
  adapter: NameSchema,
  version: z.int().positive(),
  state: VersionStateSchema,
  /** Identity of what is served; null until ready. */
  digest: z.string().nullable(),
  /** Every config field and tensor, once validated. */
  report: AdapterReportSchema.nullable().describe('Null in lists without `include=report`'),
  /** The report's warnings: what is worth knowing of a version that serves. */
  warnings: z.array(AdapterWarningSchema),
  /** The parity check's result; null until it is done, or where PARITY_CHECK leaves it out. */
  parity: ParitySchema.nullable(),
  /** Why validation itself could not be finished, when that is why the version was rejected. */
  failure: z.string().nullable(),
  /** How far the server is in fetching the files; null for a version whose files were sent. */
  import: ImportProgressSchema.nullable(),
  /** Of the weights; null while they are imported. */
  bytes: z.int().nullable(),
  weights_sha256: z.string().nullable(),
  /** The largest of its modules; null until ready, or when it has no low-rank part. */
  rank: z.int().nullable(),
  /** Kinds of modules that it changes, e.g. `q_proj`. */
  modules: z.array(z.string()),
  base_model: z.string().nullable(),
  /** Of the base against which it was validated first; null until then. */
  base_digest: z.string().nullable(),
  /** What became of it on bases that were loaded later, oldest first. */
  bases: z.array(VersionBaseSchema),
  source: z.string(),
  /** Of a version that the server computed from others; null: of any other. */
  derivation: DerivationSchema.nullable(),
  description: z.string().nullable(),
  labels: LabelsSchema,
  parents: z.array(VersionParentSchema),
  training_job: z.string().nullable(),
  metrics: VersionMetricsSchema,
  /** Who uploaded, imported or announced it; null: it is from before that was kept. */
  created_by: ActorSchema.nullable(),
  /** When a request with it last ended, whoever called; null: never. Events do not tell. */
  last_served_at: TimeSchema.nullable(),
  created_at: TimeSchema,
  ready_at: TimeSchema.nullable(),
});
export type VersionResource = z.infer<typeof VersionSchema>;

export const VersionListSchema = listOf(VersionSchema);

/** `GET /v1/adapters/{adapter}/residency`: where the weights of its versions lie now. */
export const ResidencySchema = z.object({
  object: z.literal('adapter.residency'),
  version: z.int().positive(),
  engine: z.string().describe("The engine's name"),
  /** Where its weights lie; on neither: on their way, for requests wait for them. */
  device: z.boolean(),
  host: z.boolean(),
  /** Requests that it answers there now; null where other tenants have a version with the very same content. */
  requests: z.int().nullable(),
});
export type Residency = z.infer<typeof ResidencySchema>;
export const ResidencyListSchema = listOf(ResidencySchema);

/** `GET .../versions/{version}/report`: one part of the report, page by page. */
export const ReportQuerySchema = z.object({
  section: z.enum(['errors', 'warnings', 'fields', 'tensors']).default('errors'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z
    .string()
    .regex(/^\d{1,9}$/, "expected the last page's last_id")
    .optional(),
  base: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('`base_digest` of a base in `bases`; absent: the base that the version was first judged on'),
});
export type ReportQuery = z.infer<typeof ReportQuerySchema>;
const ReportRowSchema = z.union([
  AdapterProblemSchema,
  AdapterWarningSchema,
  FieldReportSchema,
  TensorReportSchema,
]);
export type ReportRow = z.infer<typeof ReportRowSchema>;
export const ReportPageSchema = listOf(ReportRowSchema).extend({
  /** How many there were, also beyond those that a report keeps. */
  total: z.int(),
});
export type ReportPage = z.infer<typeof ReportPageSchema>;

/** The optional part `metadata` of an upload. */
export const UploadMetadataSchema = VersionFactsSchema;
export type UploadMetadata = VersionFacts;

/** The JSON form of an upload: where the server finds the files. */
export const ImportVersionSchema = UploadMetadataSchema.extend(ImportFromSchema.shape);
export type ImportVersion = z.infer<typeof ImportVersionSchema>;

export const RouteSchema = z.strictObject({
  version: z.int().positive(),
  weight: z.number().positive().max(1_000_000).default(1),
});
export const RoutesSchema = z
  .array(RouteSchema)
  .min(1)
  .max(32)
  .refine(
    (routes) => new Set(routes.map(({ version }) => version)).size === routes.length,
    'names a version twice',
  );
export type Route = z.infer<typeof RouteSchema>;

export const PutAliasSchema = z.strictObject({
  routes: RoutesSchema,
  shadow: ShadowSchema.nullable().optional().describe('Copies requests to a candidate; absent: none'),
  guard: GuardSchema.nullable()
    .optional()
    .describe('Goes back by itself when a version that gets more traffic breaks a bound; absent: never'),
});
export type PutAlias = z.infer<typeof PutAliasSchema>;

export const AliasChangeSchema = z.object({
  revision: z.int().positive(),
  /** `automatic`: `latest` followed a new version; `guard`: a version broke the bound of its change. */
  action: z.enum(['set', 'rollback', 'automatic', 'guard']),
  routes: z.array(RouteSchema),
  shadow: ShadowSchema.nullable(),
  guard: ArmedGuardSchema.nullable(),
  /** Why the server made the change by itself. */
  reason: z.string().nullable(),
  breach: GuardBreachSchema.nullable(),
  /** The key that made the change; null: the server itself. */
  key_id: z.string().nullable(),
  /** The second key or person, where the alias was protected. */
  approved_by: z.string().nullable(),
  created_at: TimeSchema,
});
export type AliasChangeResource = z.infer<typeof AliasChangeSchema>;
export const AliasSchema = z.object({
  object: z.literal('adapter.alias'),
  adapter: NameSchema,
  name: NameSchema,
  routes: z.array(RouteSchema),
  shadow: ShadowSchema.nullable(),
  guard: ArmedGuardSchema.nullable(),
  revision: z.int().positive(),
  updated_at: TimeSchema,
});
export type AliasResource = z.infer<typeof AliasSchema>;
/** As the alias's own routes show it. */
const ShownAliasSchema = AliasSchema.extend({
  /** Each change needs a second key or person. */
  protected: z.boolean(),
});
export type ShownAlias = z.infer<typeof ShownAliasSchema>;
export const AliasWithHistorySchema = ShownAliasSchema.extend({
  /** Newest first, at most 100. */
  history: z.array(AliasChangeSchema),
});
export type AliasWithHistory = z.infer<typeof AliasWithHistorySchema>;
export const AliasListSchema = listOf(ShownAliasSchema);
export type AliasList = z.infer<typeof AliasListSchema>;
