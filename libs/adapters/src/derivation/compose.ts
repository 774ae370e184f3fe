import type { DerivationResult, FactorDtype } from '#contracts/derivations-api.js';
import type { FloatDtype } from '#safetensors/floats.js';
import { composedConfig } from './derived-config.js';
import { DerivationRefused } from './derivation-refused.js';
import type { DerivedFile } from './derived-file.js';
import { keptByLot } from './draws.js';
import { encodeFloats } from '#safetensors/floats.js';
import { fitLowRank, type LowRank } from './low-rank.js';
import type { ComposeRecipe } from './recipe.js';
import { type Delta, plainDeltas, readFactors, type SourceVersion } from './source-version.js';
import { sumFactors } from './task-arithmetic.js';

export const STORED: Readonly<Record<FactorDtype, FloatDtype>> = { f32: 'F32', bf16: 'BF16', f16: 'F16' };

export interface Derived {
  readonly config: object;
  readonly result: DerivationResult;
}

/** Told after each module. */
export type OnModule = (done: number, total: number) => void;

interface Share {
  /** The input's place. */
  readonly input: number;
  readonly source: SourceVersion;
  readonly delta: Delta;
}

interface Composed {
  readonly rank: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly total?: number;
  readonly missing?: number;
}

/**
 * PEFT's add_weighted_adapter: module by module over those inputs that change it. The result's scale is 1. Unlike there,
 * factors that `cat` puts together are not filled up with zeros where an input has nothing of a module.
 */
export async function compose(
  recipe: ComposeRecipe,
  sources: readonly SourceVersion[],
  { file, onModule }: { readonly file: DerivedFile; readonly onModule: OnModule },
): Promise<Derived> {
  const shares = sharesByModule(sources);
  const dtype = STORED[recipe.dtype];
  const modules: DerivationResult['modules'] = [];
  let [total, missing] = [0, 0];
  for (const [module, inputs] of shares) {
    const made = await composeModule(recipe, module, inputs);
    const [a, b] = factorNames(module, inputs[0]?.delta.a.name ?? '');
    const width = made.a.length / made.rank;
    await file.add(a, dtype, [made.rank, width], encodeFloats(dtype, made.a));
    await file.add(b, dtype, [made.b.length / made.rank, made.rank], encodeFloats(dtype, made.b));
    total += made.total ?? 0;
    missing += made.missing ?? 0;
    const relative_error = made.total === undefined ? null : relativeError(made.missing ?? 0, made.total);
    modules.push({ module, rank: made.rank, relative_error });
    onModule(modules.length, shares.size);
  }
  const rank = Math.max(...modules.map((each) => each.rank));
  return {
    config: composedConfig(
      sources.map(({ config }) => config),
      modules,
    ),
    result: { rank, relative_error: recipe.method === 'svd' ? relativeError(missing, total) : null, modules },
  };
}

/** From squared norms. */
export function relativeError(missing: number, total: number): number {
  return total === 0 ? 0 : Math.sqrt(missing / total);
}

function sharesByModule(sources: readonly SourceVersion[]): ReadonlyMap<string, Share[]> {
  const shares = new Map<string, Share[]>();
  for (const [input, source] of sources.entries()) {
    for (const [module, delta] of plainDeltas(source)) {
      shares.set(module, [...(shares.get(module) ?? []), { input, source, delta }]);
    }
  }
  return shares;
}

async function composeModule(
  recipe: ComposeRecipe,
  module: string,
  shares: readonly Share[],
): Promise<Composed> {
  const { method } = recipe;
  const terms: LowRank[] = [];
  for (const { source, delta } of shares) terms.push(await readFactors(source, delta));
  const weights = shares.map(({ source }) => source.weight);
  if (method === 'cat') return concatenated(terms, weights);
  if (method === 'svd') {
    const largest = Math.max(...terms.map(({ rank }) => rank));
    const scaled = terms.map((term, at) => ({ ...term, scale: term.scale * (weights[at] ?? 1) }));
    const dtype = STORED[recipe.dtype];
    return fitLowRank(scaled, { rank: () => recipe.rank ?? largest, dtypes: { a: dtype, b: dtype } });
  }
  const [rank] = terms.map((term) => term.rank);
  const other = shares.find(({ delta }) => delta.rank !== rank);
  if (rank === undefined || other) {
    throw new DerivationRefused(
      `${method} needs the same rank in all adapters: ${module} has rank ${rank} in ${shares[0]?.source.name} and ` +
        `${other?.delta.rank} in ${other?.source.name}. cat and svd take different ranks.`,
    );
  }
  const scales = terms.map(({ scale }, at) => scale * (weights[at] ?? 1));
  const roots = scales.map((scale) => Math.sqrt(Math.abs(scale)));
  const sum = (part: 'A' | 'B', factors: readonly Float32Array[], of: readonly number[]): Float32Array =>
    sumFactors(factors, of, {
      method,
      density: recipe.density ?? 1,
      majoritySign: recipe.majority_sign ?? 'total',
      keeps: lots(recipe, { module, part, inputs: shares.map(({ input }) => input) }),
    });
  // The sign goes to one side only: on both it would be lost.
  const signed = roots.map((root, at) => ((scales[at] ?? 0) >= 0 ? root : -root));
  const a = sum(
    'A',
    terms.map((term) => term.a),
    signed,
  );
  return {
    rank,
    a,
    b: sum(
      'B',
      terms.map((term) => term.b),
      roots,
    ),
  };
}

function lots(
  { seed = 0, density = 1 }: ComposeRecipe,
  { module, part, inputs }: { module: string; part: 'A' | 'B'; inputs: readonly number[] },
): (input: number, element: number) => boolean {
  const kept = inputs.map((input) => keptByLot({ seed, module, part, input }, density));
  return (at, element) => kept[at]?.(element) ?? false;
}

function concatenated(terms: readonly LowRank[], weights: readonly number[]): Composed {
  const rank = terms.reduce((sum, term) => sum + term.rank, 0);
  const a = new Float32Array(terms.reduce((sum, term) => sum + term.a.length, 0));
  const b = new Float32Array(terms.reduce((sum, term) => sum + term.b.length, 0));
  let first = 0;
  let filled = 0;
  for (const [at, term] of terms.entries()) {
    const [weight, scale] = [Math.fround(weights[at] ?? 1), Math.fround(term.scale)];
    a.set(
      term.a.map((value) => Math.fround(value * weight) * scale),
      filled,
    );
    filled += term.a.length;
    const rows = term.b.length / term.rank;
    for (let row = 0; row < rows; row += 1) {
      b.set(term.b.subarray(row * term.rank, (row + 1) * term.rank), row * rank + first);
    }
    first += term.rank;
  }
  return { rank, a, b };
}

/** As PEFT saves them; those of an embedding have names of their own. */
export function factorNames(module: string, like: string): readonly [string, string] {
  const path = `base_model.model.${module}`;
  return like.includes('lora_embedding_')
    ? [`${path}.lora_embedding_A`, `${path}.lora_embedding_B`]
    : [`${path}.lora_A.weight`, `${path}.lora_B.weight`];
}
