import type { TensorReport } from '#contracts/adapter-report.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';
import type { AdapterPlan } from './targets.js';
import type { TensorPart } from './tensor-names.js';
import type { ExpertStack } from './target-parameters.js';
import type { TokenRows } from './token-rows.js';
import { isVocabularyModule } from './vocabulary-modules.js';

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

/** Every tensor that the file must or may hold. */
export function expectedTensors(
  config: HonouredFields,
  plan: AdapterPlan,
  base: BaseModel,
  turned: boolean,
): ReadonlyMap<string, ExpectedTensor> {
  const all = base.modules.flatMap((module) => [
    ...lowRankTensors(config, plan, module),
    ...replacedTensors(config, plan, module, base),
  ]);
  all.push(...plan.stacks.flatMap((stack) => stackTensors(plan, stack, turned)));
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

/** A [E * rank, in], B [out, rank * E]. */
function stackTensors(plan: AdapterPlan, stack: ExpertStack, turned: boolean): ExpectedTensor[] {
  const rank = plan.targets.get(stack.name)?.rank ?? 0;
  const ranks = rank * stack.count;
  const [inputs, outputs] = turned ? [stack.out, stack.in] : [stack.in, stack.out];
  const reason = `target_parameters covers it with rank ${rank} for each of ${stack.count} experts`;
  const required = { module: stack.name, required: true, reason };
  return [
    { ...required, part: 'lora_A', role: 'lora_a', shape: [ranks, inputs] },
    { ...required, part: 'lora_B', role: 'lora_b', shape: [outputs, ranks] },
  ];
}

function replacedTensors(
  config: HonouredFields,
  plan: AdapterPlan,
  module: BaseModule,
  base: BaseModel,
): ExpectedTensor[] {
  const { name } = module;
  const make = (required: boolean) => (part: TensorPart, role: ExpectedTensor['role'], reason: string) => ({
    module: name,
    part,
    role,
    shape: part.endsWith('bias') ? [module.out] : weightShape(module),
    required,
    reason,
  });
  const [must, may] = [make(true), make(false)];
  if (plan.saved.has(name)) return savedTensors(module, base, { must, may });
  const targeted = plan.targets.has(name);
  const tensors: ExpectedTensor[] = [];
  if (module.bias && targeted && config.bias !== 'none') {
    tensors.push(must('base_layer.bias', 'bias', `bias is ${config.bias}`));
  }
  if (module.bias && !targeted && config.bias === 'all') tensors.push(must('bias', 'bias', 'bias is all'));
  const rows = plan.tokenRows.get(name);
  if (rows !== undefined) tensors.push(rowsTensor(rows, module));
  if (isVocabularyModule(base, name)) {
    const part = targeted || rows !== undefined ? 'base_layer.weight' : 'weight';
    tensors.push(may(part, 'weight', 'PEFT may save embeddings'));
  }
  return tensors;
}

type Make = (part: TensorPart, role: ExpectedTensor['role'], reason: string) => ExpectedTensor;

function savedTensors(module: BaseModule, base: BaseModel, { must, may }: Record<'must' | 'may', Make>) {
  const reason = 'modules_to_save covers it';
  // What the module was before training counts only where it is another module's weight, too.
  const shared = base.tieWordEmbeddings && isVocabularyModule(base, module.name);
  const original = may('original_module.weight', shared ? 'weight' : 'unused', reason);
  const tensors = [must('weight', 'weight', reason), original];
  if (module.bias) {
    tensors.push(must('bias', 'bias', reason), may('original_module.bias', 'unused', reason));
  }
  return tensors;
}

/** A tied head's own copy of the rows is what PEFT leaves out. */
function rowsTensor({ indices, tensorOf }: TokenRows, module: BaseModule): ExpectedTensor {
  const own = tensorOf === module.name;
  return {
    module: module.name,
    part: 'token_adapter',
    role: own ? 'token_rows' : 'unused',
    shape: [indices.length, module.kind === 'embedding' ? module.out : module.in],
    required: own,
    reason: 'trainable_token_indices is set',
  };
}

function weightShape(module: BaseModule): number[] {
  if (module.kind === 'norm') return [module.out];
  const turned = module.kind === 'embedding' || module.transposed === true;
  return turned ? [module.in, module.out] : [module.out, module.in];
}
