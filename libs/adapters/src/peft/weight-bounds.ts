import type { AdapterManifest, ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import type { AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { vocabularyModules } from './vocabulary-modules.js';

/** The largest element of a tensor by its magnitude. */
export interface Largest {
  readonly magnitude: number;
  /** Counted in elements from the tensor's first. */
  readonly index: number;
}

export interface WeightBounds {
  readonly problems: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
  /** Tokens whose rows hold the largest numbers: what overflows for one token alone does so for these. */
  readonly tokens: readonly number[];
}

/** Every norm squares what it reads: a number beyond this is an infinity there. The root of float32's largest. */
const LARGEST = Math.sqrt(3.402_823e38);
/** No weight of a trained model moves visibly by less. */
const NEGLIGIBLE = 1e-10;

/** Judges an adapter by the largest element of each of its tensors, which bounds all that it adds. */
export function boundWeights(
  { modules }: Pick<AdapterManifest, 'modules'>,
  largest: ReadonlyMap<string, Largest>,
  base: Pick<BaseModel, 'modules' | 'vocabSize'>,
): WeightBounds {
  const { table } = vocabularyModules(base as BaseModel);
  const magnitude = (tensor: TensorRef | undefined): number =>
    tensor ? (largest.get(tensor.name)?.magnitude ?? 0) : 0;
  const tokenOf = (module: ManifestModule, tensor: TensorRef): number | undefined => {
    const at = largest.get(tensor.name)?.index ?? 0;
    const [, columns = 1] = tensor.shape ?? [];
    if (tensor === module.tokenRows?.rows) return module.tokenRows.indices[Math.floor(at / columns)];
    if (module.module !== table?.name) return undefined;
    if (tensor === module.lora?.a) return at % columns; // [rank, vocabulary]
    return tensor === module.weight ? Math.floor(at / columns) : undefined;
  };
  const problems: AdapterProblem[] = [];
  const tokens = new Set<number>();
  const refuse = (module: ManifestModule, tensor: TensorRef, what: string, value: number): void => {
    const token = tokenOf(module, tensor);
    const where = token === undefined ? '' : `, in the row of token ${token}`;
    problems.push({
      code: 'weights_overflow',
      message: `${tensor.name}: ${what} up to ${value.toPrecision(3)}${where}: the next norm squares it, which float32 cannot hold.`,
      tensor: tensor.name,
      module: module.module,
      expected: `at most ${LARGEST.toPrecision(3)}`,
      found: value.toPrecision(3),
    });
  };
  for (const module of modules) {
    const { lora, magnitude: dora, weight, bias, tokenRows } = module;
    for (const tensor of [weight, bias, tokenRows?.rows, dora, lora?.loraBias]) {
      if (tensor && magnitude(tensor) > LARGEST)
        refuse(module, tensor, 'it holds numbers', magnitude(tensor));
    }
    const product = productOf(module, magnitude);
    if (lora && product > LARGEST) {
      const tensor = magnitude(lora.b) >= magnitude(lora.a) ? lora.b : lora.a;
      refuse(module, tensor, 'scale x lora_B x lora_A may be', product);
    }
    for (const tensor of [weight, tokenRows?.rows, lora?.a]) {
      const token = tensor && tokenOf(module, tensor);
      if (token !== undefined) tokens.add(token);
    }
  }
  return { problems, warnings: negligible(modules, magnitude), tokens: [...tokens] };
}

/** More than any element of scale B A. */
function productOf({ lora }: ManifestModule, magnitude: (tensor: TensorRef) => number): number {
  return lora ? lora.rank * lora.scale * magnitude(lora.a) * magnitude(lora.b) : 0;
}

function negligible(
  modules: readonly ManifestModule[],
  magnitude: (tensor: TensorRef | undefined) => number,
): AdapterWarning[] {
  const replaces = modules.some(
    ({ lora, magnitude: dora, weight, bias, tokenRows }) =>
      (dora ?? weight ?? bias ?? tokenRows) !== undefined || magnitude(lora?.loraBias) > NEGLIGIBLE,
  );
  const most = Math.max(...modules.map((module) => productOf(module, magnitude)));
  if (replaces || most > NEGLIGIBLE) return [];
  const message = `The adapter changes next to nothing: no element of scale x lora_B x lora_A is above ${most.toPrecision(3)}.`;
  return [{ code: 'effect_negligible', message }];
}

/** Whether the low-rank product is anything but zero as it is computed: the scale is folded into lora_B in float32. */
export function hasProduct(
  { scale }: { readonly scale: number },
  a: Largest | undefined,
  b: Largest | undefined,
): boolean {
  return (a?.magnitude ?? 0) > 0 && Math.fround(scale * (b?.magnitude ?? 0)) > 0;
}
