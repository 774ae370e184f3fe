import type { ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import type { FactorDtype } from '#contracts/derivations-api.js';
import type { FloatDtype } from '#safetensors/floats.js';
import { type Derived, type OnModule, STORED } from './compose.js';
import { DerivationRefused } from './derivation-refused.js';
import type { DerivedFile } from './derived-file.js';
import { decodeFloats, encodeFloats, turned } from '#safetensors/floats.js';
import { type Delta, isFactored, readFactors, type SourceVersion } from './source-version.js';

/** A module's delta as MLX-LM has it: with a magnitude, DoRA. */
interface Part {
  readonly module: string;
  readonly delta: Delta;
  readonly magnitude: TensorRef | undefined;
}

/**
 * The version as MLX-LM saves it. One rank and one scale hold for all modules there: ranks are filled up with zeros, and
 * where the scales differ they go into the factors.
 */
export async function convertToMlx(
  source: SourceVersion,
  dtype: FactorDtype | undefined,
  { file, onModule }: { readonly file: DerivedFile; readonly onModule: OnModule },
): Promise<Derived> {
  const parts = source.manifest.modules.map((module) => partOf(source.name, module));
  const dora = parts.some(({ magnitude }) => magnitude);
  const without = parts.find(({ magnitude }) => dora && !magnitude);
  if (without) {
    throw new DerivationRefused(
      `${source.name} has DoRA, but not of ${without.module}; MLX-LM has it of all or none.`,
    );
  }
  const rank = Math.max(...parts.map(({ delta }) => delta.rank));
  const [scale = 1, ...others] = new Set(parts.map(({ delta }) => delta.scale));
  const folded = others.length > 0;
  for (const [at, part] of parts.entries()) {
    await addModule(source, part, { file, dtype, rank, folded });
    onModule(at + 1, parts.length);
  }
  const model = source.config.base_model_name_or_path ?? source.config.model;
  return {
    config: {
      fine_tune_type: dora ? 'dora' : 'lora',
      num_layers: -1,
      lora_parameters: { rank, scale: folded ? 1 : scale, dropout: 0, keys: keysOf(parts) },
      ...(typeof model === 'string' && { model }),
    },
    result: {
      rank,
      relative_error: null,
      modules: parts.map(({ module }) => ({ module, rank, relative_error: null })),
    },
  };
}

function partOf(version: string, { module, lora, magnitude, ...rest }: ManifestModule): Part {
  const other = Object.keys(rest)[0] ?? (lora?.loraBias && 'loraBias');
  if (!lora || other !== undefined || !isFactored(lora)) {
    throw new DerivationRefused(
      `${version} has more of ${module} than low-rank factors (${other ?? 'no factors'}), which MLX-LM has no form for.`,
    );
  }
  return { module, delta: lora, magnitude };
}

interface Form {
  readonly file: DerivedFile;
  readonly dtype: FactorDtype | undefined;
  readonly rank: number;
  readonly folded: boolean;
}

async function addModule(
  source: SourceVersion,
  { module, delta, magnitude }: Part,
  { file, dtype, rank, folded }: Form,
): Promise<void> {
  const stored = (own: FloatDtype): FloatDtype => (dtype ? STORED[dtype] : own);
  const [width, height] = [delta.a.shape[1] ?? 0, delta.b.shape[0] ?? 0];
  const { a, b, scale } = await readFactors(source, delta);
  const fullA = new Float32Array(rank * width);
  fullA.set(a);
  const turnedB = new Float32Array(rank * height);
  turnedB.set(turned(folded ? b.map((value) => value * scale) : b, height));
  const [typeA, typeB] = [stored(delta.a.dtype), stored(delta.b.dtype)];
  await file.add(`${module}.lora_a`, typeA, [width, rank], encodeFloats(typeA, turned(fullA, rank)));
  await file.add(`${module}.lora_b`, typeB, [rank, height], encodeFloats(typeB, turnedB));
  if (!magnitude) return;
  const type = stored(magnitude.dtype);
  const values = decodeFloats(magnitude.dtype, await source.read(magnitude.begin, magnitude.end));
  await file.add(`${module}.m`, type, [values.length], encodeFloats(type, values));
}

/** Inside a layer by their path there, elsewhere by their whole path. */
function keysOf(parts: readonly Part[]): string[] {
  return [...new Set(parts.map(({ module }) => module.replace(/^.*\.layers\.\d+\./, '')))].sort();
}
