import type { TensorReport } from '#contracts/adapter-report.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';
import type { AdapterPlan } from './targets.js';
import type { TensorPart } from './tensor-names.js';

export interface ExpectedTensor {
  readonly module: string;
  readonly part: TensorPart;
  readonly role: TensorReport['role'];
  readonly shape: readonly number[];
  readonly required: boolean;
  /** The field that asks for it, as a sentence goes on: "... is missing: ". */
  readonly reason: string;
}

export const tensorKey = (module: string, part: TensorPart): string => `${module}:${part}`;

/** The modules whose own weight PEFT may save beside a LoRA on them (save_embedding_layers). */
const EMBEDDINGS = new Set(['embed_tokens', 'lm_head']);
export const isEmbeddingLayer = (module: string): boolean => EMBEDDINGS.has(module.split('.').at(-1) ?? '');

/** Every tensor that the file must or may hold. */
export function expectedTensors(
  config: HonouredFields,
  plan: AdapterPlan,
  base: BaseModel,
): ReadonlyMap<string, ExpectedTensor> {
  const all = base.modules.flatMap((module) => [
    ...lowRankTensors(config, plan, module),
    ...replacedTensors(config, plan, module),
  ]);
  return new Map(all.map((tensor) => [tensorKey(tensor.module, tensor.part), tensor]));
}

function lowRankTensors(config: HonouredFields, plan: AdapterPlan, module: BaseModule): ExpectedTensor[] {
  const target = plan.targets.get(module.name);
  if (target === undefined) return [];
  const embedding = module.kind === 'embedding';
  const required = (part: TensorPart, role: ExpectedTensor['role'], shape: number[], reason: string) => ({
    module: module.name,
    part,
    role,
    shape,
    required: true,
    reason,
  });
  const reason = `target_modules covers it with rank ${target.rank}`;
  const tensors = [
    required(embedding ? 'lora_embedding_A' : 'lora_A', 'lora_a', [target.rank, module.in], reason),
    required(embedding ? 'lora_embedding_B' : 'lora_B', 'lora_b', [module.out, target.rank], reason),
  ];
  if (config.lora_bias) tensors.push(required('lora_B.bias', 'lora_bias', [module.out], 'lora_bias is set'));
  if (config.use_dora) {
    tensors.push(required('lora_magnitude_vector', 'magnitude', [module.out], 'use_dora is set'));
  }
  return tensors;
}

function replacedTensors(config: HonouredFields, plan: AdapterPlan, module: BaseModule): ExpectedTensor[] {
  const { name } = module;
  const tensors: ExpectedTensor[] = [];
  const add = (
    part: TensorPart,
    role: ExpectedTensor['role'],
    shape: readonly number[],
    reason: string,
    required = true,
  ) => tensors.push({ module: name, part, role, shape, required, reason });
  const targeted = plan.targets.has(name);
  if (plan.saved.has(name)) {
    add('weight', 'weight', weightShape(module), 'modules_to_save covers it');
    if (module.bias) add('bias', 'bias', [module.out], 'modules_to_save covers it');
    return tensors;
  }
  if (module.bias && targeted && config.bias !== 'none') {
    add('base_layer.bias', 'bias', [module.out], `bias is ${config.bias}`);
  }
  if (module.bias && !targeted && config.bias === 'all') add('bias', 'bias', [module.out], 'bias is all');
  const rows = plan.tokenRows.get(name);
  if (rows !== undefined) {
    add('token_adapter', 'token_rows', [rows.length, module.out], 'trainable_token_indices is set');
  } else if (isEmbeddingLayer(name)) {
    add(
      targeted ? 'base_layer.weight' : 'weight',
      'weight',
      weightShape(module),
      'PEFT may save embeddings',
      false,
    );
  }
  return tensors;
}

function weightShape(module: BaseModule): number[] {
  if (module.kind === 'norm') return [module.out];
  return module.kind === 'embedding' ? [module.in, module.out] : [module.out, module.in];
}
