import { z } from 'zod';

/** The closed list of reasons for which an adapter is rejected. docs/adapter-report.md is tested to be equal. */
export const ADAPTER_ERROR_TABLE = {
  weights_file_invalid: 'The safetensors file itself is broken; the message says where.',
  config_json_invalid: 'adapter_config.json is not strict JSON (NaN and Infinity are not JSON).',
  config_duplicate_key: 'A key occurs twice in adapter_config.json.',
  config_not_object: 'adapter_config.json is not a JSON object.',
  config_field_unknown: 'The field is none that a PEFT release is known to write.',
  config_field_missing: 'A field that has no safe default is missing.',
  config_field_type: 'The field has the wrong JSON type.',
  config_field_value: 'The field has a value that makes no sense or that PEFT itself refuses.',
  config_field_refused:
    'The field asks for something that this server does not compute; the reason is given.',
  config_conflict: 'Two fields contradict each other, as PEFT itself says or because PEFT versions disagree.',
  config_not_peft: 'adapter_config.json was not written by PEFT; the message says what it is.',
  peft_type_unsupported: 'peft_type is not LORA.',
  task_type_unsupported: 'task_type is neither CAUSAL_LM nor null.',
  base_model_mismatch:
    "The config names a model class that is not the base model's, or another model where the upload requires a match.",
  init_changes_base:
    'init_lora_weights changes the base weights, so the file alone does not hold the adapter.',
  regex_unsupported:
    'The pattern is no valid Python regular expression, or uses a construct that is not supported.',
  target_none_matched: 'target_modules matches no module of the base model.',
  target_not_in_base: 'The config names a module path or a layer that the base model does not have.',
  target_unsupported: 'target_modules matches something that LoRA cannot adapt: a container or a norm.',
  module_conflict: 'One module is claimed in two ways that exclude each other.',
  token_index_invalid: 'A token index is outside the vocabulary or occurs twice.',
  tensor_name_invalid: 'The tensor has no name that PEFT writes for LoRA.',
  tensor_module_unknown: 'The tensor belongs to a module that the base model does not have.',
  tensor_unexpected: 'The tensor belongs to a module of the base model, but the config does not ask for it.',
  tensor_duplicate: 'Two tensors stand for the same part of the same module.',
  tensor_missing: 'The config asks for a tensor that is not in the file.',
  tensor_shape: "The tensor's shape is not what the base model and the rank require.",
  vocabulary_resized:
    'The vocabulary was resized before training in a way that the engine cannot serve; the message says why.',
  tensor_dtype: "The tensor's dtype is none of F64, F32, F16, BF16.",
  generation_config_invalid: 'generation_config.json is no JSON object, or a value in it makes no sense.',
  chat_template_invalid:
    'The chat template cannot be read: too long, or tokenizer_config.json holds none that can be.',
  tokenizer_invalid: 'The added tokens of the tokenizer files cannot be read.',
  weights_not_finite: 'The tensor holds NaN, an infinity, or a number beyond float32.',
  weights_overflow:
    'A number, or scale x lora_B x lora_A, is so large that the next norm overflows float32; the message names the tensor and, for rows of tokens, the token.',
  template_invalid: 'The chat template is no Jinja2 template: it does not compile; the message says where.',
  template_unusable:
    'The chat template is empty, or fails on a plain chat (one user message), which every template must render.',
  template_too_large: 'The chat template is larger than 1 MiB.',
  validation_too_long: 'Reading the adapter took longer than the server allows (VALIDATION_TIMEOUT_S).',
  validation_too_large:
    'Reading the adapter took more memory than the server allows (VALIDATION_MEMORY_BYTES).',
  parity_failed:
    'As served, the adapter gives other log-probabilities than its weights merged densely into the base: a fault of this server, or numbers that are not finite.',
  no_effect: 'The adapter changes nothing: every low-rank product is zero and nothing is replaced.',
} as const;

export type AdapterErrorCode = keyof typeof ADAPTER_ERROR_TABLE;

/** Those that the same files may not have on another base model. */
export const BASE_BOUND_ERRORS: ReadonlySet<AdapterErrorCode> = new Set<AdapterErrorCode>([
  'base_model_mismatch',
  'target_none_matched',
  'target_not_in_base',
  'target_unsupported',
  'token_index_invalid',
  'tensor_module_unknown',
  'tensor_unexpected',
  'tensor_missing',
  'tensor_shape',
  'vocabulary_resized',
  'weights_overflow',
  'parity_failed',
]);
const ADAPTER_ERROR_CODES = Object.keys(ADAPTER_ERROR_TABLE) as [AdapterErrorCode, ...AdapterErrorCode[]];

/** The closed list of things worth knowing about an accepted adapter. Each is what PEFT does, too. */
export const ADAPTER_WARNING_TABLE = {
  base_model_differs: 'base_model_name_or_path names another model than the base that is served.',
  mlx_converted: "The adapter came in MLX-LM's format and was converted: its factors were transposed.",
  generation_field_ignored:
    'generation_config.json asks for a way of decoding that this server does not have.',
  wrapper_prefix: 'Tensor names go through a wrapper (torch.compile, DDP, FSDP), which was left out.',
  name_unmatched:
    'A name in target_modules, target_parameters, exclude_modules or modules_to_save matches nothing in the base model.',
  pattern_unmatched: 'A key of rank_pattern or alpha_pattern matches no targeted module.',
  fan_in_fan_out_ignored: 'fan_in_fan_out is set, but the base model has no layer stored that way.',
  weight_tying_ignored:
    'ensure_weight_tying is set, but the base model has no tied embeddings, or the adapter does not name them.',
  effect_negligible:
    'The adapter changes next to nothing: its low-rank products are below 1e-10, or the parity check saw no difference to the base.',
  added_token_unused:
    'The tokenizer has tokens for which neither the adapter nor the base has rows, or that its numbers do not reach: they are left out.',
  module_unread:
    'The file has tensors of a module that the base model has and never reads: they were left out.',
  base_weight_identical:
    "The file carries the base model's own embedding or output head, unchanged: it was left out.",
  base_weight_replaced:
    "The file carries the embedding's own weight, which takes the place of the base model's.",
} as const;

export type AdapterWarningCode = keyof typeof ADAPTER_WARNING_TABLE;
const ADAPTER_WARNING_CODES = Object.keys(ADAPTER_WARNING_TABLE) as [
  AdapterWarningCode,
  ...AdapterWarningCode[],
];

/** What the sentence is about; absent parts do not apply. */
const subject = {
  message: z.string(),
  /** Of adapter_config.json. */
  field: z.string().optional(),
  tensor: z.string().optional(),
  /** Of the base model. */
  module: z.string().optional(),
};

export const AdapterProblemSchema = z.object({
  code: z.enum(ADAPTER_ERROR_CODES),
  ...subject,
  expected: z.string().optional(),
  found: z.string().optional(),
});
export type AdapterProblem = z.infer<typeof AdapterProblemSchema>;

export const AdapterWarningSchema = z.object({ code: z.enum(ADAPTER_WARNING_CODES), ...subject });
export type AdapterWarning = z.infer<typeof AdapterWarningSchema>;

export const FieldReportSchema = z.object({
  name: z.string(),
  /**
   * honoured: computed as PEFT does. refused: the adapter is rejected for it. ignored: has no meaning for inference.
   * default: absent, so PEFT's default counts.
   */
  treatment: z.enum(['honoured', 'refused', 'ignored', 'default']),
  value: z.unknown().optional(),
  /** Why, when refused or ignored. */
  reason: z.string().optional(),
});
export type FieldReport = z.infer<typeof FieldReportSchema>;

export const TENSOR_ROLES = [
  'lora_a',
  'lora_b',
  'lora_bias',
  'magnitude',
  'weight',
  'bias',
  'token_rows',
  /** PEFT passes over it as well: a second copy, or what a module was before training. */
  'unused',
] as const;
export const TensorReportSchema = z.object({
  name: z.string(),
  module: z.string(),
  role: z.enum(TENSOR_ROLES),
});
export type TensorReport = z.infer<typeof TensorReportSchema>;

/** What became of a file that came with the adapter. */
export const FileReportSchema = z.object({
  name: z.string(),
  /** read: decides what is computed. kept: stored, without meaning. left_out: neither read nor stored. */
  use: z.enum(['read', 'kept', 'left_out']),
});
export type FileReport = z.infer<typeof FileReportSchema>;

/** What the reader made of an adapter: stored with the version and shown to the tenant. */
export const AdapterReportSchema = z.object({
  verdict: z.enum(['accepted', 'rejected']),
  errors: z.array(AdapterProblemSchema),
  warnings: z.array(AdapterWarningSchema),
  /** Every field of adapter_config.json, and every field of PEFT's that is absent. */
  fields: z.array(FieldReportSchema),
  /** Every tensor that was mapped. */
  tensors: z.array(TensorReportSchema),
  /** The files that came with it. */
  files: z.array(FileReportSchema).optional(),
  /** How many there are of each where the list above holds only the first. */
  totals: z.object({ errors: z.int(), warnings: z.int(), fields: z.int(), tensors: z.int() }).optional(),
  summary: z.object({
    /** Distinct ranks, ascending. */
    ranks: z.array(z.int()),
    /** Modules of the base that the adapter changes. */
    modules: z.int(),
    /** Elements of all its tensors. */
    parameters: z.int(),
  }),
});
export type AdapterReport = z.infer<typeof AdapterReportSchema>;
