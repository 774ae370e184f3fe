import type { AdapterErrorCode, AdapterProblem } from '#contracts/adapter-report.js';
import type { HonouredField, HonouredFields } from './fields.js';

/** What LoraConfig.__post_init__ and LoraLayer.update_layer refuse, and what cannot be served from the file alone. */
export function checkConflicts(config: HonouredFields): AdapterProblem[] {
  return [...checkKind(config), ...checkInit(config), ...checkTargets(config), ...checkVariants(config)];
}

const problem = (code: AdapterErrorCode, field: HonouredField, message: string): AdapterProblem => ({
  code,
  field,
  message: `${field}: ${message}`,
});

function checkKind({ task_type }: HonouredFields): AdapterProblem[] {
  if (task_type === null || task_type === 'CAUSAL_LM') return [];
  const message = `only CAUSAL_LM is supported, not ${JSON.stringify(task_type)}.`;
  return [problem('task_type_unsupported', 'task_type', message)];
}

/** Starting points that leave the base weights alone: the file holds all there is. */
const HARMLESS_INITS = new Set<unknown>([true, false, null, 'gaussian', 'eva', 'orthogonal', 'mica']);

function checkInit({ init_lora_weights: init }: HonouredFields): AdapterProblem[] {
  if (HARMLESS_INITS.has(init)) return [];
  const name = String(init).toLowerCase();
  if (name === 'gaussian' || name === 'mica') return [];
  if (/^(pissa|corda)/.test(name) || ['olora', 'loftq', 'lora_ga'].includes(name)) {
    if (name === 'loftq') {
      const message =
        'loftq trains beside a quantized base of its own, which the file does not hold. Merge the adapter into that base ' +
        '(merge_and_unload) and serve the result as a base model.';
      return [problem('init_changes_base', 'init_lora_weights', message)];
    }
    const message =
      `${name} subtracts a part of the base weights when training starts, and the file holds only what was added back. ` +
      'Save the adapter with path_initial_model_for_weight_conversion (PiSSA, CorDA, OLoRA, LoRA-GA), which makes it a ' +
      'plain LoRA of the unchanged base model.';
    return [problem('init_changes_base', 'init_lora_weights', message)];
  }
  return [problem('config_field_value', 'init_lora_weights', `PEFT knows no start ${JSON.stringify(init)}.`)];
}

function checkTargets(config: HonouredFields): AdapterProblem[] {
  const { target_modules, target_parameters, layers_to_transform, layers_pattern } = config;
  const problems: AdapterProblem[] = [];
  if (target_modules === null && target_parameters.length === 0) {
    const message = 'is missing or null; PEFT would guess from a table of architectures.';
    problems.push(problem('config_field_missing', 'target_modules', message));
  }
  if (typeof target_modules === 'string' && (layers_to_transform !== null || layers_pattern !== null)) {
    const field = layers_to_transform === null ? 'layers_pattern' : 'layers_to_transform';
    problems.push(problem('config_conflict', field, 'PEFT refuses it when target_modules is a string.'));
  }
  const patterns = layers_pattern !== null && layers_pattern.length > 0;
  if (patterns && layers_to_transform === null) {
    problems.push(
      problem('config_conflict', 'layers_pattern', 'PEFT refuses it without layers_to_transform.'),
    );
  }
  return problems;
}

function checkVariants(config: HonouredFields): AdapterProblem[] {
  const problems: AdapterProblem[] = [];
  if (config.lora_bias && config.use_dora) {
    problems.push(problem('config_conflict', 'lora_bias', 'PEFT refuses it together with use_dora.'));
  }
  if (config.lora_bias && typeof config.init_lora_weights === 'string') {
    const message = 'PEFT refuses it unless init_lora_weights is true or false.';
    problems.push(problem('config_conflict', 'lora_bias', message));
  }
  if (config.alora_invocation_tokens.length > 0) problems.push(...checkActivated(config));
  if (config.target_parameters.length > 0) problems.push(...checkParameters(config));
  if (config.use_dora && String(config.init_lora_weights).toLowerCase() === 'mica') {
    problems.push(
      problem('config_conflict', 'use_dora', 'PEFT refuses it together with init_lora_weights = mica.'),
    );
  }
  return problems;
}

/** What ParamWrapper refuses, and what it would pass over. */
function checkParameters(config: HonouredFields): AdapterProblem[] {
  const refused = (['use_dora', 'lora_bias', 'fan_in_fan_out'] as const).filter((field) => config[field]);
  const problems = refused.map((field) =>
    problem('config_conflict', field, 'PEFT refuses it together with target_parameters.'),
  );
  if (config.alora_invocation_tokens.length === 0) return problems;
  const message = 'deltas of parameters (target_parameters) act on every token.';
  return [...problems, problem('config_conflict', 'alora_invocation_tokens', message)];
}

function checkActivated({ use_dora, init_lora_weights: init }: HonouredFields): AdapterProblem[] {
  const other = use_dora
    ? 'use_dora'
    : String(init).toLowerCase() === 'mica'
      ? 'init_lora_weights = mica'
      : undefined;
  if (other === undefined) return [];
  const message = `PEFT refuses it together with ${other}.`;
  return [problem('config_conflict', 'alora_invocation_tokens', message)];
}
