import { z } from 'zod';
import { DEFAULTABLE_SHAPE } from './sampling.js';

/** A tensor inside the version's safetensors file. `begin`/`end` are byte offsets from the start of the file. */
export const TensorRefSchema = z.object({
  name: z.string(),
  dtype: z.enum(['F64', 'F32', 'F16', 'BF16']),
  shape: z.array(z.int().nonnegative()),
  begin: z.int().nonnegative(),
  end: z.int().nonnegative(),
});
export type TensorRef = z.infer<typeof TensorRefSchema>;

/**
 * What an adapter does to one base module, with PEFT's quirks already resolved. For a row x of the module's input:
 *   base  = (weight ?? W) x
 *   delta = scale * (B (A x) + loraBias)
 *   y     = magnitude ? magnitude / ||W' + scale B A||_row * (base + delta) : base + delta,  W' = weight ?? W
 *   y    += bias ?? the base's own bias
 * An embedding is the same with x one-hot: in = vocabulary, out = hidden. One expert of BaseModel.experts is a linear module
 * (`experts.3.gate_proj`). All of one layer (`experts.gate_up_proj`) have one A [E * rank, in], of which row e * rank + r is
 * expert e's row r, and one B [out, rank * E], of which column r * E + e is its column r.
 */
export const ManifestModuleSchema = z.object({
  /** A name of BaseModel.modules, or of its experts. */
  module: z.string(),
  /** Of the module alone this part (BaseModule.parts); the tensors have its rows, in its own order. */
  part: z.int().nonnegative().optional(),
  /** The tensors, all but A, have the rows of several modules: `of` in all, the module's from `first` on. */
  within: z.object({ first: z.int().nonnegative(), of: z.int().positive() }).optional(),
  lora: z
    .object({
      rank: z.int().positive(),
      /** alpha / r, alpha / sqrt(r) for rsLoRA; folded into B in float32 at load. */
      scale: z.number(),
      a: TensorRefSchema, // [rank, in]
      b: TensorRefSchema, // [out, rank]
      loraBias: TensorRefSchema.optional(), // [out], PEFT's lora_B.bias
      /** Of a stack of experts: A is [E * rank, out] and B [in, rank * E], and the delta scale * (B A)^T. */
      turned: z.boolean().optional(),
    })
    .optional(),
  /** DoRA magnitude, [out]. */
  magnitude: TensorRefSchema.optional(),
  /** Replaces the base's weight: linear [out, in], embedding [in, out], norm [out]. */
  weight: TensorRefSchema.optional(),
  /** Replaces the base's bias, [out]. */
  bias: TensorRefSchema.optional(),
  /** Embedding rows replaced one by one (trainable_token_indices): rows [indices.length, out]. */
  tokenRows: z.object({ indices: z.array(z.int().nonnegative()), rows: TensorRefSchema }).optional(),
});
export type ManifestModule = z.infer<typeof ManifestModuleSchema>;

/** How an adapter's answers end and are sampled where a request does not say (its generation_config.json). */
export const GenerationDefaultsSchema = z.object({
  /** End an answer beside the base's own. */
  eosTokenIds: z.array(z.int().nonnegative()).optional(),
  ...DEFAULTABLE_SHAPE,
  maxTokens: z.int().positive().optional(),
});
export type GenerationDefaults = z.infer<typeof GenerationDefaultsSchema>;

/** A token beside those of the base's tokenizer, with the flags that tokenizer.json gives it. */
export const AddedTokenSchema = z.object({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  special: z.boolean(),
  lstrip: z.boolean(),
  rstrip: z.boolean(),
  single_word: z.boolean(),
  normalized: z.boolean(),
});
export type AddedToken = z.infer<typeof AddedTokenSchema>;

export const AdapterManifestSchema = z.object({
  /**
   * v2 says more of how it is computed (`invocationTokens`) than an engine that knows only v1 would heed, and v3 more than
   * that: `vocabSize` and `addedTokens`.
   */
  format: z.enum(['lorikeet.adapter.v1', 'lorikeet.adapter.v2', 'lorikeet.adapter.v3']),
  /** Digest of the base model that it was validated against. */
  base: z.string(),
  weights: z.object({ sha256: z.string(), bytes: z.int().positive() }),
  /** The adapter's own chat template (a Jinja file), when it has one. */
  chatTemplate: z.object({ sha256: z.string(), bytes: z.int().nonnegative() }).optional(),
  /** The one for calls with tools, where the adapter has a template of its own for them. */
  toolChatTemplate: z.object({ sha256: z.string(), bytes: z.int().nonnegative() }).optional(),
  generation: GenerationDefaultsSchema.optional(),
  /**
   * Of an activated LoRA (aLoRA): it acts from the last place of the prompt on where these tokens stand in a row, with
   * them; before it, or in a prompt without them, the base computes alone.
   */
  invocationTokens: z.array(z.int().nonnegative()).min(1).optional(),
  /** Tokens that its embedding and head have: theirs are the numbers of rows of all tensors of both. Absent: the base's. */
  vocabSize: z.int().positive().optional(),
  /** In the order of their ids, which go on from the base's tokenizer. */
  addedTokens: z.array(AddedTokenSchema).min(1).optional(),
  modules: z.array(ManifestModuleSchema).min(1),
});
/**
 * The normalised form of an adapter; the engine reads nothing else but this and the safetensors bytes.
 * A version's digest is the SHA-256 (hex) of its canonical JSON, which holds the weights' SHA-256.
 * In the blob store: key `sha256/<digest>` is the manifest, `sha256/<weights.sha256>` the weights.
 */
export type AdapterManifest = z.infer<typeof AdapterManifestSchema>;
