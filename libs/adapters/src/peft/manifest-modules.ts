import type { ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import { isEmbeddingLayer, tensorKey } from './expected-tensors.js';
import type { AdapterPlan } from './targets.js';
import type { TensorPart } from './tensor-names.js';

/** Puts the mapped tensors together, in the base model's order. Everything is known to be there and to fit. */
export function manifestModules(
  plan: AdapterPlan,
  base: BaseModel,
  found: ReadonlyMap<string, TensorRef>,
): ManifestModule[] {
  const sharedWeight = base.tieWordEmbeddings ? sharedEmbedding(plan, base, found) : undefined;
  return base.modules
    .map((module) => manifestModule(module, plan, found, sharedWeight))
    .filter((module) => Object.keys(module).length > 1);
}

function manifestModule(
  { name, kind }: BaseModule,
  plan: AdapterPlan,
  found: ReadonlyMap<string, TensorRef>,
  sharedWeight: TensorRef | undefined,
): ManifestModule {
  const tensor = (part: TensorPart) => found.get(tensorKey(name, part));
  const module: ManifestModule = { module: name };
  const target = plan.targets.get(name);
  const a = tensor(kind === 'embedding' ? 'lora_embedding_A' : 'lora_A');
  const b = tensor(kind === 'embedding' ? 'lora_embedding_B' : 'lora_B');
  if (target !== undefined && a !== undefined && b !== undefined) {
    const loraBias = tensor('lora_B.bias');
    module.lora = { rank: target.rank, scale: target.scale, a, b, ...(loraBias && { loraBias }) };
  }
  const magnitude = tensor('lora_magnitude_vector');
  if (magnitude) module.magnitude = magnitude;
  const own = tensor('weight') ?? tensor('base_layer.weight');
  const weight = isEmbeddingLayer(name) && !plan.saved.has(name) ? (sharedWeight ?? own) : own;
  if (weight) module.weight = weight;
  const bias = tensor('bias') ?? tensor('base_layer.bias');
  if (bias) module.bias = bias;
  const rows = tensor('token_adapter');
  const indices = plan.tokenRows.get(name);
  if (rows && indices) module.tokenRows = { indices: [...indices], rows };
  return module;
}

/**
 * With tied embeddings, PEFT loads a saved embedding weight into the one tensor that the input embedding and the output
 * head share, so it replaces both; of two, the output head's is loaded last. A module in modules_to_save is a copy of its
 * own and keeps out of this.
 */
function sharedEmbedding(
  plan: AdapterPlan,
  base: BaseModel,
  found: ReadonlyMap<string, TensorRef>,
): TensorRef | undefined {
  const own = base.modules
    .filter(({ name }) => isEmbeddingLayer(name) && !plan.saved.has(name))
    .sort((x, y) => Number(x.kind === 'linear') - Number(y.kind === 'linear'))
    .map(
      ({ name }) => found.get(tensorKey(name, 'weight')) ?? found.get(tensorKey(name, 'base_layer.weight')),
    );
  return own.filter((tensor) => tensor !== undefined).at(-1);
}
