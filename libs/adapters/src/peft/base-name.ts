/*
 * Names of models as adapter_config.json and operators write them: hub ids, local folders, quantized twins of one model.
 */

const MAX_NAME_CHARACTERS = 500;
/** Says nothing of the model: a folder is called so whatever is in it. */
const GENERIC =
  /^(base|base-model|model|models|final|output|outputs|merged|merged-model|checkpoint|checkpoints|last|latest|hf|weights|pretrained|pretrained-model|snapshot|tmp|results?|checkpoint-\d+|[0-9a-f]{32,64})$/;
/** Of a quantized or converted twin. */
const TWIN =
  /[-_.](unsloth|bnb|gptq|awq|gguf|ggml|mlx|exl2|hqq|eetq|aqlm|marlin|autoround|quantized|dynamic|hf|fp8|fp16|float16|bf16|bfloat16|f16|f32|fp32|nf4|fp4|int[248]|[2345678]-?bits?|w\d+a\d+|\d+g|i?q\d(_[a-z0-9]+)*)$/;

/**
 * The model that a name stands for, in one spelling for all its twins: without organisation, folders and quantization.
 * Undefined when the name says nothing.
 */
export function modelOf(name: string): string | undefined {
  const steps = name
    .slice(-MAX_NAME_CHARACTERS)
    .replaceAll('\\', '/')
    .split('/')
    .filter((step) => step !== '' && step !== '.' && step !== '..');
  // A hub cache: .../models--org--name/snapshots/<commit>
  const cached = steps.findLast((step) => step.startsWith('models--'));
  let model = (cached?.split('--').at(-1) ?? steps.at(-1) ?? '').toLowerCase();
  model = model
    .replaceAll('___', '.')
    .replace(/@[^@]*$/, '')
    .replace(/\.(gguf|safetensors|bin)$/, '');
  for (let longer = ''; longer !== model; ) {
    longer = model;
    model = model.replace(TWIN, '');
  }
  model = model
    .replace(/[-_. ]+/g, '-')
    .replace(/^meta-(?=llama)/, '')
    .replace(/^-|-$/g, '');
  return model === '' || GENERIC.test(model) ? undefined : model;
}

export type NameComparison = 'same' | 'other' | 'unknown';

/** Whether two names mean the same model; unknown where one of them says nothing. */
export function compareNames(named: string | null, known: readonly string[]): NameComparison {
  const wanted = named === null ? undefined : modelOf(named);
  const models = known.flatMap((name) => modelOf(name) ?? []);
  if (wanted === undefined || models.length === 0) return 'unknown';
  return models.includes(wanted) ? 'same' : 'other';
}

/** What wraps a model and is none. */
const WRAPPERS =
  /^(Auto|Peft|OptimizedModule|DataParallel|DistributedDataParallel|FullyShardedDataParallel|DeepSpeed|Accelerated)/;
/** A Transformers class: the family of models, then what its head does. */
const CLASS = /^(?<family>\w+?)(?<head>LMHeadModel|For[A-Z]\w*|Model|2DConditionModel)$/;
/** Heads that a text generator's adapter may name: the tensors tell the rest. */
const FITTING_HEADS = new Set(['LMHeadModel', 'ForCausalLM', 'ForConditionalGeneration', 'Model']);

/** Whether auto_mapping.base_model_class says that the adapter is of a model of another class than `architecture`. */
export function contradicts(baseModelClass: string, architecture: string): boolean {
  if (WRAPPERS.test(baseModelClass) || baseModelClass.includes(architecture)) return false;
  const named = CLASS.exec(baseModelClass)?.groups;
  const served = CLASS.exec(architecture)?.groups;
  if (!named || !served) return false;
  const sameFamily = named['family']?.toLowerCase() === served['family']?.toLowerCase();
  return !sameFamily || !FITTING_HEADS.has(named['head'] ?? '');
}
