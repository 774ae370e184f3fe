import { z } from 'zod';

/**
 * One module of the base model that holds weights, named as Transformers names it, e.g.
 * `model.layers.0.self_attn.q_proj`, `model.embed_tokens`, `model.norm`, `lm_head`.
 * linear: weight [out, in], or [in, out] where it is stored transposed (GPT-2's Conv1D); embedding: weight [in = vocabulary, out = hidden]; norm: weight [out], in = 1.
 */
export const BaseModuleSchema = z.object({
  name: z.string(),
  kind: z.enum(['linear', 'embedding', 'norm']),
  out: z.int().positive(),
  in: z.int().positive(),
  bias: z.boolean(),
  /** Absent: no. */
  transposed: z.boolean().optional(),
  /** How many of its rows each part of it has, such as queries, keys and values, where it has several. */
  parts: z.array(z.int().positive()).optional(),
  /** Chooses experts; to Transformers no linear module but a parameter beside code. Absent: no. */
  router: z.boolean().optional(),
});
export type BaseModule = z.infer<typeof BaseModuleSchema>;

/**
 * The experts of one layer, e.g. `model.layers.0.mlp.experts`: `count` times gate and up [width, hidden] and down
 * [hidden, width], which adapters name one by one (`experts.3.gate_proj`) or all at once (`experts.gate_up_proj`).
 */
export const BaseExpertsSchema = z.object({
  name: z.string(),
  count: z.int().positive(),
  hidden: z.int().positive(),
  width: z.int().positive(),
  gate: z.string(),
  up: z.string(),
  down: z.string(),
  /** Gate and up of all experts, and their down. */
  fusedUp: z.string(),
  fusedDown: z.string(),
});
export type BaseExperts = z.infer<typeof BaseExpertsSchema>;

/** What an engine says of the base model that it has loaded. */
export const BaseModelSchema = z.object({
  /** MODEL_NAME: the base model's name in the API. */
  name: z.string(),
  /** Other names of the same checkpoint, such as its folder's, by which adapters may call it. */
  knownAs: z.array(z.string()).optional(),
  /** SHA-256 (hex) over config, tokenizer and weights. */
  digest: z.string(),
  architecture: z.string(),
  hiddenSize: z.int().positive(),
  numLayers: z.int().positive(),
  vocabSize: z.int().positive(),
  /** Adapters may have so many tokens more, or fewer than the base; absent: they must have its vocabulary. */
  extraTokens: z.int().nonnegative().optional(),
  /** Tokens that its tokenizer knows, ids from 0; absent: the engine does not say. */
  tokenizerSize: z.int().positive().optional(),
  /** Of queries, and of keys and values; absent: the engine does not say. */
  heads: z.int().positive().optional(),
  keyHeads: z.int().positive().optional(),
  /** Tokens that one request may have in all (prompt + completion). */
  maxContext: z.int().positive(),
  /** No token stands for more characters of a text than this. */
  longestToken: z.int().positive().optional(),
  tieWordEmbeddings: z.boolean(),
  quantization: z.string(),
  modules: z.array(BaseModuleSchema),
  experts: z.array(BaseExpertsSchema).optional(),
  /** Modules that its class once had and never read, such as the keys of a layer that takes those of another. */
  unreadModules: z.array(z.string()).optional(),
  /** The embedding and, unless it is tied, the output head, as the checkpoint holds them: SHA-256 (hex) of their bytes. */
  vocabularyWeights: z
    .array(z.object({ module: z.string(), dtype: z.enum(['F32', 'F16', 'BF16']), sha256: z.string() }))
    .optional(),
  /** bos_token, eos_token, ... as chat templates know them. */
  specialTokens: z.record(z.string(), z.string()).optional(),
});
export type BaseModel = z.infer<typeof BaseModelSchema>;
