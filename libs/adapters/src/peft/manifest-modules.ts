import type { ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import { tensorKey } from './expected-tensors.js';
import type { AdapterPlan } from './targets.js';
import type { TensorPart } from './tensor-names.js';
import { vocabularyModules } from './vocabulary-modules.js';

/** Puts the mapped tensors together, in the base model's order. Everything is known to be there and to fit. */
export function manifestModules(
  plan: AdapterPlan,
  base: BaseModel,
  found: ReadonlyMap<string, TensorRef>,
  turned: boolean,
): ManifestModule[] {
  const shared = base.tieWordEmbeddings ? sharedWeights(plan, base, found) : new Map<string, TensorRef>();
  const modules = base.modules
    .map((module) => manifestModule(module, plan, found, shared))
    .filter((module) => Object.keys(module).length > 1);
  return [...modules, ...plan.stacks.flatMap(({ name }) => manifestStack(name, plan, found, turned))];
}

function manifestStack(
  name: string,
  plan: AdapterPlan,
  found: ReadonlyMap<string, TensorRef>,
  turned: boolean,
): ManifestModule[] {
  const target = plan.targets.get(name);
  const [a, b] = [found.get(tensorKey(name, 'lora_A')), found.get(tensorKey(name, 'lora_B'))];
  if (!target || !a || !b) return [];
  return [
    { module: name, lora: { rank: target.rank, scale: target.scale, a, b, ...(turned && { turned }) } },
  ];
}

function manifestModule(
  { name, kind }: BaseModule,
  plan: AdapterPlan,
  found: ReadonlyMap<string, TensorRef>,
  shared: ReadonlyMap<string, TensorRef>,
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
  const weight = shared.get(name) ?? tensor('weight') ?? tensor('base_layer.weight');
  if (weight) module.weight = weight;
  const bias = tensor('bias') ?? tensor('base_layer.bias');
  if (bias) module.bias = bias;
  const rows = plan.tokenRows.get(name);
  const values = rows && found.get(tensorKey(rows.tensorOf, 'token_adapter'));
  if (rows && values) module.tokenRows = { indices: [...rows.indices], rows: values };
  return module;
}

/**
 * With tied embeddings, PEFT loads a saved embedding weight into the one tensor that the input embedding and the output
 * head share, so it replaces both; of two, the output head's is loaded last. A module in modules_to_save is a copy of its
 * own and keeps out of this, but what stands beside it as its original does not. With ensure_weight_tying the copy itself
 * is shared.
 */
function sharedWeights(
  plan: AdapterPlan,
  base: BaseModel,
  found: ReadonlyMap<string, TensorRef>,
): ReadonlyMap<string, TensorRef> {
  const { table, head } = vocabularyModules(base);
  const both = [table, head].flatMap((module) => (module ? [module.name] : []));
  const last = (tensors: readonly (TensorRef | undefined)[]) => tensors.findLast((tensor) => tensor);
  const tensor = (name: string, part: TensorPart) => found.get(tensorKey(name, part));
  const original = last(
    both.map((name) =>
      plan.saved.has(name)
        ? tensor(name, 'original_module.weight')
        : (tensor(name, 'weight') ?? tensor(name, 'base_layer.weight')),
    ),
  );
  const copy = plan.tied === 'saved' ? last(both.map((name) => tensor(name, 'weight'))) : undefined;
  return new Map(
    both.flatMap((name): [string, TensorRef][] => {
      const weight = plan.saved.has(name) ? copy : original;
      return weight ? [[name, weight]] : [];
    }),
  );
}
