import { z } from 'zod';
import { SAVE_AS_LORA } from './other-formats.js';

/*
 * Every field that a PEFT release writes into a LoRA's adapter_config.json, each in exactly one of three tables.
 * Defaults are PEFT's own. Source of the meaning: PEFT 0.21, peft/tuners/lora/config.py.
 */

/** Beyond these a number is a mistake: no model has such ranks, no training such scales. */
export const MAX_RANK = 4096;
const MAX_ALPHA = 1_000_000;

/** A list has at most one entry per module; the largest models have some thousands. */
const MAX_NAMES = 10_000;
const MAX_SAVED = 1_000;
const MAX_TOKENS = 100_000;
const MAX_INVOCATION = 1_000;

const name = z.string().min(1, 'an empty name matches everything');
const names = z.array(name).max(MAX_NAMES);
const patterns = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value)
    .refine((keys) => Object.keys(keys).length <= MAX_NAMES, `expected at most ${MAX_NAMES} keys`);
const flag = z.boolean();
const rank = z.int().min(1).max(MAX_RANK);
const alpha = z.number().positive().max(MAX_ALPHA);
const tokenIndices = z.array(z.int().nonnegative()).min(1).max(MAX_TOKENS);
/** null stands for "not set", which PEFT writes for most of its fields. */
const orNull = <T extends z.ZodType, D>(schema: T, whenNull: D) =>
  schema.nullable().transform((value) => value ?? whenNull);

/** Fields that decide what is computed. */
export const HonouredFieldsSchema = z.object({
  peft_type: z.string(),
  task_type: z.string().nullable().default(null),
  r: rank.default(8),
  lora_alpha: alpha.default(8),
  target_modules: z.union([name, names]).nullable().default(null),
  target_parameters: orNull(names, []).default([]),
  exclude_modules: z.union([name, names]).nullable().default(null),
  rank_pattern: orNull(patterns(rank), {}).default({}),
  alpha_pattern: orNull(patterns(alpha), {}).default({}),
  use_rslora: flag.default(false),
  use_dora: flag.default(false),
  layers_to_transform: z
    .union([z.int().nonnegative(), z.array(z.int().nonnegative()).max(MAX_NAMES)])
    .nullable()
    .default(null),
  layers_pattern: z
    .union([z.string(), z.array(name).max(MAX_SAVED)])
    .nullable()
    .default(null),
  bias: z.enum(['none', 'all', 'lora_only']).default('none'),
  lora_bias: flag.default(false),
  modules_to_save: orNull(z.array(name).max(MAX_SAVED), []).default([]),
  trainable_token_indices: z
    .union([tokenIndices, patterns(tokenIndices)])
    .nullable()
    .default(null),
  fan_in_fan_out: flag.default(false),
  init_lora_weights: z.union([flag, z.string()]).nullable().default(true),
  ensure_weight_tying: flag.default(false),
  alora_invocation_tokens: orNull(z.array(z.int().nonnegative()).max(MAX_INVOCATION), []).default([]),
  base_model_name_or_path: z.string().nullable().default(null),
  auto_mapping: z.record(z.string(), z.unknown()).nullable().default(null),
});
export type HonouredFields = z.infer<typeof HonouredFieldsSchema>;
export type HonouredField = keyof HonouredFields;

export const HONOURED_NOTES: Readonly<Record<HonouredField, string>> = {
  peft_type: 'Must be LORA.',
  task_type: 'CAUSAL_LM or null; a classifier or embedding head is not what this server computes.',
  r: 'Rank.',
  lora_alpha: 'Scale: lora_alpha / r.',
  target_modules: 'List of names (exact or suffix), one regular expression (full match), or all-linear.',
  target_parameters:
    'Weights of experts, of routers and of linear modules, by the whole path or the end of it (`mlp.experts.gate_up_proj`). All experts of a layer have one A and one B.',
  exclude_modules: 'List of names (exact or suffix) or one regular expression (full match).',
  rank_pattern: 'Rank by module; regular expressions on the end of the name, the first that matches counts.',
  alpha_pattern: 'lora_alpha by module, matched like rank_pattern.',
  use_rslora: 'Scale: lora_alpha / sqrt(r).',
  use_dora: 'Magnitude vectors (DoRA).',
  layers_to_transform:
    'Only these layers. Names listed in full in target_modules are not filtered, as in PEFT.',
  layers_pattern: 'Name of the list of layers; plain names only.',
  bias: 'none, all or lora_only: biases of the base that the file replaces.',
  lora_bias: 'A bias on lora_B.',
  modules_to_save: 'Whole modules that the file replaces; matched by the end of the name, as PEFT does.',
  trainable_token_indices:
    'Rows of the input embedding or the output head that the file replaces; of the embedding also in a tied head.',
  fan_in_fan_out: 'Without effect on nn.Linear and nn.Embedding and implied by Conv1D, as in PEFT.',
  init_lora_weights:
    'How training started. Refused where it changed the base weights: pissa, olora, corda, loftq, lora_ga.',
  ensure_weight_tying:
    'With tied embeddings, what the config says of the embedding or of the head holds for both; without effect otherwise.',
  alora_invocation_tokens:
    'Activated LoRA: acts from the last place on where the prompt has these tokens in a row; before it, the base alone computes.',
  base_model_name_or_path:
    'A warning when it names another model than the base; refused where the tenant or the upload requires a match.',
  auto_mapping: "Refused when base_model_class is no class of the base model's family.",
};

export interface RefusedField {
  readonly schema: z.ZodType;
  readonly default: unknown;
  readonly reason: string;
}
const object = z.record(z.string(), z.unknown()).nullable();
const refused = (schema: z.ZodType, standard: unknown, reason: string): RefusedField => ({
  schema,
  default: standard,
  reason,
});

/** Fields that are refused when set: to anything but null, false or an empty list. */
export const REFUSED_FIELDS: Readonly<Record<string, RefusedField>> = {
  megatron_config: refused(object, null, 'Megatron-parallel layers are not supported.'),
  layer_replication: refused(
    z.array(z.array(z.int())).nullable(),
    null,
    'Repeating layers of the base model is not supported. Save the model with its layers repeated and serve that as the base.',
  ),
  use_qalora: refused(
    flag,
    false,
    `QALoRA pools the input in groups, which is not supported. ${SAVE_AS_LORA}`,
  ),
  velora_config: refused(
    object,
    null,
    `VeLoRA adapters carry tensors that are not supported. ${SAVE_AS_LORA}`,
  ),
  monteclora_config: refused(
    object,
    null,
    `MonteCLoRA samples its weights, which is not supported. ${SAVE_AS_LORA}`,
  ),
  kasa_config: refused(object, null, "KaSA truncates the base model's weights, which other tenants share."),
  arrow_config: refused(
    object,
    null,
    'Arrow routes between adapters, which is not supported. Upload the adapters one by one.',
  ),
  use_bdlora: refused(
    z.union([flag, object]),
    null,
    `BD-LoRA stores block-diagonal factors, which are not supported. ${SAVE_AS_LORA}`,
  ),
  enable_lora: refused(
    z.union([flag, z.array(flag)]).nullable(),
    null,
    'Merged linear layers (PEFT before 0.3) are not supported. Load it with that PEFT, and save it again without enable_lora.',
  ),
};

export interface IgnoredField {
  readonly schema: z.ZodType;
  readonly default: unknown;
  readonly reason: string;
}
const ignored = (schema: z.ZodType, standard: unknown, reason: string): IgnoredField => ({
  schema,
  default: standard,
  reason,
});
const text = z.string().nullable();

/** Fields without meaning for inference. Their type is checked all the same. */
export const IGNORED_FIELDS: Readonly<Record<string, IgnoredField>> = {
  lora_dropout: ignored(z.number().min(0).max(1), 0, 'Dropout acts in training only.'),
  revision: ignored(
    text,
    null,
    'Which revision the base model had; every tensor is checked against the base that is served.',
  ),
  inference_mode: ignored(flag, false, 'Says whether parameters take gradients.'),
  peft_version: ignored(text, null, 'The fields themselves are read, whatever wrote them.'),
  megatron_core: ignored(text, 'megatron.core', 'Has meaning with megatron_config only.'),
  loftq_config: ignored(object, {}, 'Has meaning with init_lora_weights = loftq only.'),
  eva_config: ignored(
    object,
    null,
    'Says how training started; its ranks stand in rank_pattern and alpha_pattern.',
  ),
  corda_config: ignored(object, null, 'Has meaning with init_lora_weights = corda only.'),
  lora_ga_config: ignored(object, null, 'Has meaning with init_lora_weights = lora_ga only.'),
  qalora_group_size: ignored(z.int(), 16, 'Has meaning with use_qalora only.'),
  runtime_config: ignored(object, null, 'Says on which device training computed.'),
  merge_weights: ignored(flag, false, 'Said when PEFT before 0.3 merged weights.'),
};

export const isHonoured = (field: string): field is HonouredField =>
  Object.hasOwn(HonouredFieldsSchema.shape, field);

/** Whether a field of REFUSED_FIELDS asks for nothing. PEFT makes a full sub-config of an empty object, so that is set. */
export function isUnset(value: unknown): boolean {
  return value === null || value === false || (Array.isArray(value) && value.length === 0);
}
