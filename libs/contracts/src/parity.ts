import { z } from 'zod';

const tensorName = z.string();

/**
 * What an adapter does to one base module, as the dense path reads it: tensors by their names in the safetensors file.
 *   W' = weight ?? W;  V = W' + scale B A;  V = (magnitude / ||V||_row) V;  b' = (bias ?? b) + ratio scale loraBias
 * Derived apart from the manifest, so that a fault in either shows as a difference.
 */
export const DenseChangeSchema = z.object({
  module: z.string(),
  /** As the manifest's. */
  part: z.int().nonnegative().optional(),
  within: z.object({ first: z.int().nonnegative(), of: z.int().positive() }).optional(),
  weight: tensorName.optional(),
  /** Of all experts of a layer at once A and B hold those of each; `turned` is the manifest's. */
  lowRank: z
    .object({ a: tensorName, b: tensorName, scale: z.number(), turned: z.boolean().optional() })
    .optional(),
  loraBias: tensorName.optional(),
  magnitude: tensorName.optional(),
  bias: tensorName.optional(),
  /** Rows of the embedding, replaced one by one. */
  rows: z.object({ indices: z.array(z.int().nonnegative()), tensor: tensorName }).optional(),
});
export type DenseChange = z.infer<typeof DenseChangeSchema>;

/** Body of the engine's POST /parity. */
export const ParityRequestSchema = z.object({
  /** The version's digest; its manifest lies in the blob store. */
  adapter: z.string(),
  /** SHA-256 of the weights as they were uploaded, whatever the manifest says. */
  weights: z.string(),
  changes: z.array(DenseChangeSchema).min(1),
  /** Tokens that shall stand in the prompts. */
  tokens: z.array(z.int().nonnegative()).max(1_000).optional(),
  /** Of an activated LoRA: what the prompts have to begin with, so that it acts on all of them. */
  invocation: z.array(z.int().nonnegative()).optional(),
  /** Tokens that the adapter has, where they are not as many as the base's. */
  vocabSize: z.int().positive().optional(),
});
export type ParityRequest = z.infer<typeof ParityRequestSchema>;

/** How an adapter as it is served compares with its base's weights after a dense merge in float32. */
export const ParitySchema = z.object({
  passed: z.boolean(),
  /** Largest difference of a token's log-probability; null when either path gave no finite number. */
  max_abs_diff: z.number().nullable(),
  mean_abs_diff: z.number().nullable(),
  /** Largest of both that pass on this base. */
  tolerance: z.object({ max_abs_diff: z.number(), mean_abs_diff: z.number() }),
  /** Share of positions at which both paths hold the same token for the likeliest. */
  token_agreement: z.number(),
  /** Largest difference of a log-probability that the adapter makes to the base, for comparison. */
  effect: z.number().nullable(),
  prompts: z.int(),
  /** Tokens whose log-probabilities were compared. */
  tokens: z.int(),
  /** Why a path gave no numbers, where that is so. */
  failure: z.string().nullable(),
  /** The two paths, e.g. `cpu avx2 2 threads against merged float32`. */
  path: z.string(),
});
export type Parity = z.infer<typeof ParitySchema>;
