import { z } from 'zod';
import { ParentReferenceSchema } from './lineage-api.js';

/** Versions that the server computes from others: `derive` in the JSON form of `POST /v1/adapters/{name}/versions`. */

/** As PEFT's add_weighted_adapter names them. */
export const COMPOSE_METHODS = [
  'linear',
  'cat',
  'svd',
  'ties',
  'dare_linear',
  'dare_ties',
  'magnitude_prune',
] as const;
export type ComposeMethod = (typeof COMPOSE_METHODS)[number];

/** Methods that drop a part of each factor's elements. */
export const PRUNING: readonly ComposeMethod[] = ['ties', 'dare_linear', 'dare_ties', 'magnitude_prune'];
/** Methods that elect a sign for each element. */
export const ELECTING: readonly ComposeMethod[] = ['ties', 'dare_ties'];
/** Methods that drop elements by chance. */
export const DRAWING: readonly ComposeMethod[] = ['dare_linear', 'dare_ties'];

export const FACTOR_DTYPES = ['f32', 'bf16', 'f16'] as const;
const FactorDtypeSchema = z.enum(FACTOR_DTYPES);
export type FactorDtype = z.infer<typeof FactorDtypeSchema>;

const MAX_RANK = 1024;
const WeightSchema = z.number().min(-100).max(100);

const ComposeSchema = z
  .strictObject({
    operation: z.literal('compose'),
    method: z.enum(COMPOSE_METHODS).describe("PEFT's `combination_type`"),
    inputs: z
      .array(z.strictObject({ version: ParentReferenceSchema, weight: WeightSchema.default(1) }))
      .min(1)
      .max(16)
      .describe('Ready versions of the tenant; the first gives template and generation defaults'),
    density: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('The share of elements that is kept, of methods that drop some'),
    majority_sign: z.enum(['total', 'frequency']).optional().describe('Of `ties` and `dare_ties`; total'),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .optional()
      .describe('What `dare_linear` and `dare_ties` draw with; absent: by chance, and told in `derivation`'),
    rank: z
      .int()
      .min(1)
      .max(MAX_RANK)
      .optional()
      .describe('Of the result of `svd`; the largest of its inputs'),
    dtype: FactorDtypeSchema.default('f32'),
  })
  .superRefine(({ method, inputs, density, majority_sign, seed, rank }, context) => {
    const refuse = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    const prunes = PRUNING.includes(method);
    if (prunes && density === undefined) refuse('density', `is needed by ${method}`);
    if (!prunes && density !== undefined) refuse('density', `is nothing that ${method} reads`);
    if (majority_sign !== undefined && !ELECTING.includes(method))
      refuse('majority_sign', `is nothing that ${method} reads`);
    if (seed !== undefined && !DRAWING.includes(method)) refuse('seed', `is nothing that ${method} reads`);
    if (rank !== undefined && method !== 'svd') refuse('rank', `is nothing that ${method} reads`);
    if (inputs.length === 1 && method !== 'linear')
      refuse('inputs', `expected at least two versions for ${method}; one alone can be scaled by linear`);
    if (new Set(inputs.map(({ version }) => version)).size < inputs.length)
      refuse('inputs', 'names a version twice');
  });

const ShrinkSchema = z
  .strictObject({
    operation: z.literal('shrink'),
    version: ParentReferenceSchema,
    rank: z.int().min(1).max(MAX_RANK).optional().describe('The largest rank of the result'),
    energy: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe(
        "The share of each module's squared singular values that is kept at least, instead of a rank",
      ),
    dtype: FactorDtypeSchema.optional().describe('Absent: as the factors are stored'),
  })
  .superRefine(({ rank, energy }, context) => {
    if ((rank === undefined) === (energy === undefined))
      context.addIssue({ code: 'custom', path: ['rank'], message: 'give exactly one of rank and energy' });
  });

export const ADAPTER_FORMS = ['peft', 'mlx', 'gguf', 'int8'] as const;
const ConvertSchema = z.strictObject({
  operation: z.literal('convert'),
  version: ParentReferenceSchema,
  to: z
    .enum(ADAPTER_FORMS)
    .describe(
      "`gguf`: the same version with a file adapter.gguf beside it, as llama.cpp's `--lora` loads; `int8`: in PEFT's form, with " +
        'the numbers that an engine keeps with ADAPTER_DTYPE=int8',
    ),
  dtype: FactorDtypeSchema.optional().describe('Absent: as the factors are stored'),
});

export const DeriveSchema = z.discriminatedUnion('operation', [ComposeSchema, ShrinkSchema, ConvertSchema]);
export type Derive = z.infer<typeof DeriveSchema>;

/** How a version was computed from others. */
export const DerivationSchema = z.object({
  operation: z.enum(['compose', 'shrink', 'convert']),
  /** As they were; any may have been deleted since. */
  inputs: z.array(
    z.object({
      id: z.string(),
      version: z.string(),
      digest: z.string(),
      weight: z.number().nullable(),
    }),
  ),
  /** All that was asked for, with the seed where one was drawn. */
  parameters: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Null until it is computed. */
  result: z
    .object({
      rank: z.int(),
      /**
       * How far the result lies from the exact sum of the deltas: the Frobenius norm of the difference, over that of the
       * sum. Null where the method means another sum.
       */
      relative_error: z.number().nullable(),
      modules: z
        .array(
          z.object({
            module: z.string(),
            rank: z.int(),
            relative_error: z.number().nullable(),
          }),
        )
        .describe('Empty in lists without `include=report`'),
    })
    .nullable(),
});
export type Derivation = z.infer<typeof DerivationSchema>;
export type DerivationResult = NonNullable<Derivation['result']>;
