import { z } from 'zod';
import type { AdapterProblem, FieldReport } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { MAX_RANK } from '../peft/fields.js';

/*
 * What MLX-LM writes as adapter_config.json: the arguments of its training. When it loads an adapter it reads
 * fine_tune_type, num_layers and lora_parameters, and nothing else.
 */

/** Which factors the file holds, and how they act: y += scale (x A) B in the last `layers` layers. */
export interface MlxAdapter {
  readonly rank: number;
  readonly scale: number;
  readonly layers: number;
  readonly dora: boolean;
  /** The base by name. */
  readonly model: string | null;
}

export interface MlxReading {
  readonly adapter: MlxAdapter | undefined;
  readonly fields: readonly FieldReport[];
  readonly errors: readonly AdapterProblem[];
}

const ParametersSchema = z.strictObject({
  rank: z.int().min(1).max(MAX_RANK),
  scale: z.number().positive(),
  dropout: z.number().optional(),
  keys: z.array(z.string()).max(1_000).nullish(),
  alpha: z.number().optional(),
});
const ConfigSchema = z.looseObject({
  fine_tune_type: z.enum(['lora', 'dora']).default('lora'),
  /** Before the field fine_tune_type. */
  use_dora: z.boolean().optional(),
  num_layers: z.int().min(-1).optional(),
  /** num_layers before MLX-LM 0.19. */
  lora_layers: z.int().min(-1).optional(),
  lora_parameters: ParametersSchema,
  model: z.string().nullish(),
});
const READ = ['fine_tune_type', 'use_dora', 'num_layers', 'lora_layers', 'lora_parameters', 'model'];

export function isMlxConfig(object: Readonly<Record<string, unknown>>): boolean {
  const has = (name: string): boolean => Object.hasOwn(object, name);
  return !has('target_modules') && (has('fine_tune_type') || has('lora_parameters') || has('lora_layers'));
}

export function readMlxConfig(object: Readonly<Record<string, unknown>>, base: BaseModel): MlxReading {
  const fields = Object.keys(object).sort().map(fieldReport);
  const parsed = ConfigSchema.safeParse(object);
  if (!parsed.success) return { adapter: undefined, fields, errors: parsed.error.issues.map(problemOf) };
  const { fine_tune_type, use_dora, num_layers, lora_layers, lora_parameters, model } = parsed.data;
  const { rank, scale, alpha } = lora_parameters;
  const wanted = num_layers ?? lora_layers ?? -1;
  const errors: AdapterProblem[] = [];
  if (wanted > base.numLayers) {
    const message = `num_layers: the adapter is of the last ${wanted} layers of a model; the base has ${base.numLayers}.`;
    errors.push({ code: 'target_not_in_base', message, field: 'num_layers' });
  }
  if (alpha !== undefined && lora_layers !== undefined && num_layers === undefined) {
    const message =
      'lora_parameters.alpha: MLX-LM before 0.13 multiplies by alpha / rank and later versions do not, so what the adapter ' +
      'computes is not known. Put the factor that holds into scale, and take alpha out.';
    errors.push({ code: 'config_conflict', message, field: 'lora_parameters' });
  }
  const adapter: MlxAdapter = {
    rank,
    scale,
    layers: wanted < 0 ? base.numLayers : wanted,
    dora: fine_tune_type === 'dora' || use_dora === true,
    model: model ?? null,
  };
  return { adapter: errors.length > 0 ? undefined : adapter, fields, errors };
}

function fieldReport(name: string): FieldReport {
  if (READ.includes(name)) return { name, treatment: 'honoured' };
  return {
    name,
    treatment: 'ignored',
    reason: 'An argument of the training, which MLX-LM does not read either.',
  };
}

function problemOf({ path, message, code }: z.core.$ZodIssue): AdapterProblem {
  const [field = ''] = path.map(String);
  const isType = code === 'invalid_type';
  const why =
    field === 'fine_tune_type'
      ? 'only lora and dora are adapters; a full fine-tune is a base model of its own'
      : message;
  return {
    code: isType ? 'config_field_type' : 'config_field_value',
    message: `${path.join('.')}: ${why}.`,
    field,
  };
}
