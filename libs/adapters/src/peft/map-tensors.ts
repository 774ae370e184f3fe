import type { TensorRef } from '#contracts/adapter-manifest.js';
import { TensorRefSchema } from '#contracts/adapter-manifest.js';
import type {
  AdapterErrorCode,
  AdapterProblem,
  AdapterWarning,
  TensorReport,
} from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader, TensorInfo } from '#safetensors/header.js';
import { type ExpectedTensor, tensorKey } from './expected-tensors.js';
import { type ExpertStack, everyStack } from './target-parameters.js';
import { vocabularyFault } from './own-vocabulary.js';
import { foreignName, parseTensorName, type TensorName, withoutWrappers } from './tensor-names.js';
import { isVocabularyModule } from './vocabulary-modules.js';

export interface MappedTensors {
  /** By tensorKey. */
  readonly found: ReadonlyMap<string, TensorRef>;
  readonly tensors: readonly TensorReport[];
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

/** `expected` is absent when the config says too little; then only names are checked. */
export function mapTensors(
  header: SafetensorsHeader,
  base: BaseModel,
  expected: ReadonlyMap<string, ExpectedTensor> | undefined,
  stacks: readonly ExpertStack[] = [],
): MappedTensors {
  const mapper = new TensorMapper(base, expected, stacks);
  const names = header.tensors.map((tensor) => mapper.parse(tensor));
  const plain = new Set(names.flatMap((name) => (name && !name.isCopy ? [keyOf(name)] : [])));
  for (const [at, tensor] of header.tensors.entries()) {
    const name = names[at];
    // PEFT loads the plain name and passes over the copy.
    if (name?.isCopy && plain.has(keyOf(name))) mapper.leaveOut(tensor, name);
    else if (name) mapper.add(tensor, name);
  }
  mapper.checkMissing();
  return mapper;
}

/** How many tokens a tensor is made for that differs from what was expected in that number alone. */
function resizedRows(
  shape: readonly number[],
  { shape: expected }: ExpectedTensor,
  vocabSize: number,
): number | undefined {
  if (shape.length !== expected.length) return undefined;
  const differing = expected.flatMap((size, at) => (size === shape[at] ? [] : [at]));
  const [at] = differing;
  if (differing.length !== 1 || at === undefined || expected[at] !== vocabSize) return undefined;
  return shape[at];
}

const keyOf = ({ module, part }: TensorName): string => tensorKey(module, part);

/** No module path of any model comes near; a longer one would only swell the report. */
const MAX_NAME_CHARACTERS = 500;

class TensorMapper implements MappedTensors {
  readonly found = new Map<string, TensorRef>();
  readonly tensors: TensorReport[] = [];
  readonly errors: AdapterProblem[] = [];
  /** The first tensor whose name goes through a wrapper. */
  private wrapped: string | undefined;
  private readonly seen = new Map<string, string>();
  private readonly modules: ReadonlySet<string>;
  /** Names of stacks of experts by the path of their tensors. */
  private readonly stacks: ReadonlyMap<string, string>;
  private adapter: string | undefined;

  constructor(
    private readonly base: BaseModel,
    private readonly expected: ReadonlyMap<string, ExpectedTensor> | undefined,
    stacks: readonly ExpertStack[],
  ) {
    this.modules = new Set(base.modules.map(({ name }) => name));
    const known = stacks.length > 0 ? stacks : everyStack(base);
    this.stacks = new Map(known.map(({ wrapper, name }) => [wrapper, name]));
  }

  /** What the tensor's name says; undefined when that is no part of a module of the base. */
  parse(tensor: TensorInfo): TensorName | undefined {
    if (tensor.name.length > MAX_NAME_CHARACTERS) {
      const shown = `${tensor.name.slice(0, 100)}...`;
      this.fail('tensor_name_invalid', shown, `has a name of ${tensor.name.length} characters`, {});
      return undefined;
    }
    const unwrapped = withoutWrappers(tensor.name);
    if (unwrapped !== tensor.name) this.wrapped ??= tensor.name;
    const parsed = parseTensorName(unwrapped, (module) => this.modules.has(module));
    const stack = parsed && this.stacks.get(parsed.module);
    const name = stack === undefined ? parsed : parsed && { ...parsed, module: stack };
    if (name === undefined) {
      const expected = 'base_model.model.<module>.lora_A.weight and the like';
      const foreign = foreignName(tensor.name);
      const message =
        foreign === undefined ? `is no name that PEFT writes (${expected})` : `has a name of ${foreign}`;
      this.fail('tensor_name_invalid', tensor.name, message, { expected });
      return undefined;
    }
    if (stack === undefined && !this.modules.has(name.module)) {
      const message = `belongs to ${name.module}, which the base model does not have`;
      this.fail('tensor_module_unknown', tensor.name, message, { module: name.module });
      return undefined;
    }
    return name;
  }

  leaveOut({ name }: TensorInfo, { module }: TensorName): void {
    this.tensors.push({ name, module, role: 'unused' });
  }

  add(tensor: TensorInfo, name: TensorName): void {
    this.checkAdapterName(tensor, name);
    const key = keyOf(name);
    const before = this.seen.get(key);
    this.seen.set(key, tensor.name);
    if (before !== undefined) {
      this.fail('tensor_duplicate', tensor.name, `stands for the same as ${before}`, { module: name.module });
      return;
    }
    if (this.expected !== undefined) this.match(tensor, name, this.expected.get(key));
  }

  private match(
    tensor: TensorInfo,
    { module, part }: TensorName,
    expected: ExpectedTensor | undefined,
  ): void {
    if (expected === undefined) {
      this.fail('tensor_unexpected', tensor.name, `the config asks for no ${part} of ${module}`, { module });
      return;
    }
    const ref = TensorRefSchema.safeParse(tensor);
    if (!ref.success) {
      const details = { module, expected: 'F64, F32, F16 or BF16', found: tensor.dtype };
      this.fail('tensor_dtype', tensor.name, `has dtype ${tensor.dtype}`, details);
      return;
    }
    const wanted = `[${expected.shape.join(', ')}]`;
    const shape = `[${tensor.shape.join(', ')}]`;
    const isVocabulary = isVocabularyModule(this.base, module);
    const rows = isVocabulary ? resizedRows(tensor.shape, expected, this.base.vocabSize) : undefined;
    if (rows !== undefined) {
      const why = vocabularyFault(rows, this.base) ?? 'other tensors of the file have as many as the base';
      const message =
        `has ${rows} rows for tokens, and the base model ${this.base.vocabSize}: the vocabulary was resized before training, and ${why}. ` +
        `Serve a base of that size (resize_token_embeddings(${rows}), then save_pretrained), or train rows of tokens ` +
        'that the base has (trainable_token_indices)';
      this.fail('vocabulary_resized', tensor.name, message, { module, expected: wanted, found: shape });
      return;
    }
    if (shape !== wanted) {
      const message = `has shape ${shape}, expected ${wanted} (${expected.reason})`;
      this.fail('tensor_shape', tensor.name, message, { module, expected: wanted, found: shape });
      return;
    }
    if (expected.role !== 'unused') this.found.set(tensorKey(module, part), ref.data);
    this.tensors.push({ name: tensor.name, module, role: expected.role });
  }

  /** Two adapters in one file would be mixed up. */
  private checkAdapterName(tensor: TensorInfo, { adapter, module }: TensorName): void {
    if (adapter === undefined) return;
    this.adapter ??= adapter;
    if (adapter === this.adapter) return;
    const message = `carries the adapter name ${adapter}, another tensor ${this.adapter}`;
    this.fail('tensor_name_invalid', tensor.name, message, {
      module,
      expected: this.adapter,
      found: adapter,
    });
  }

  get warnings(): AdapterWarning[] {
    if (this.wrapped === undefined) return [];
    const message = `${this.wrapped} goes through a wrapper of training (torch.compile, DDP or FSDP), which is left out.`;
    return [{ code: 'wrapper_prefix', message, tensor: this.wrapped }];
  }

  checkMissing(): void {
    for (const [key, tensor] of this.expected ?? []) {
      if (!tensor.required || this.seen.has(key)) continue;
      this.errors.push({
        code: 'tensor_missing',
        message: `${tensor.part} of ${tensor.module} is missing (${tensor.reason}).`,
        module: tensor.module,
        expected: `[${tensor.shape.join(', ')}]`,
      });
    }
  }

  private fail(
    code: AdapterErrorCode,
    tensor: string,
    message: string,
    details: { module?: string; expected?: string; found?: string },
  ): void {
    this.errors.push({ code, message: `${tensor} ${message}.`, tensor, ...details });
  }
}
