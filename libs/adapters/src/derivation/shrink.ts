import type { ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import type { DerivationResult } from '#contracts/derivations-api.js';
import type { SafetensorsHeader, TensorInfo } from '#safetensors/header.js';
import { isFloatDtype } from '../peft/scan-floats.js';
import { type Derived, factorNames, type OnModule, relativeError, STORED } from './compose.js';
import { DerivationRefused } from './derivation-refused.js';
import { shrunkConfig, unstackedConfig } from './derived-config.js';
import type { DerivedFile } from './derived-file.js';
import { decodeFloats, encodeFloats } from '#safetensors/floats.js';
import { fitLowRank, rankOfEnergy } from './low-rank.js';
import type { ShrinkRecipe } from './recipe.js';
import { type Delta, isFactored, readFactors, type SourceVersion, stackedDeltas } from './source-version.js';

interface Factored {
  /** As the base names it. */
  readonly module: string;
  readonly delta: Delta;
}

/** The same adapter with factors of lower ranks; whatever else it holds stays as it is. */
export async function shrink(
  recipe: ShrinkRecipe,
  { source, header }: { readonly source: SourceVersion; readonly header: SafetensorsHeader },
  { file, onModule }: { readonly file: DerivedFile; readonly onModule: OnModule },
): Promise<Derived> {
  const factored = factoredModules(source, header, { stacks: true });
  const replaced = new Set(factored.flatMap(({ delta }) => [delta.a.name, delta.b.name]));
  const choose = recipe.energy === undefined ? () => recipe.rank ?? 1 : rankOfEnergy(recipe.energy);
  const modules: DerivationResult['modules'] = [];
  const ranked: { module: string; rank: number }[] = [];
  let [total, missing] = [0, 0];
  for (const { module, delta } of factored) {
    const dtypes = {
      a: recipe.dtype ? STORED[recipe.dtype] : delta.a.dtype,
      b: recipe.dtype ? STORED[recipe.dtype] : delta.b.dtype,
    };
    const fitted = fitLowRank([await readFactors(source, delta)], { rank: choose, dtypes });
    const { rank } = fitted;
    const [a, b] = delta.expert ? factorNames(module, delta.a.name) : [delta.a.name, delta.b.name];
    await file.add(a, dtypes.a, [rank, fitted.a.length / rank], encodeFloats(dtypes.a, fitted.a));
    await file.add(b, dtypes.b, [fitted.b.length / rank, rank], encodeFloats(dtypes.b, fitted.b));
    total += fitted.total;
    missing += fitted.missing;
    modules.push({ module, rank, relative_error: relativeError(fitted.missing, fitted.total) });
    ranked.push({ module: pathIn(a) ?? module, rank });
    onModule(modules.length, factored.length);
  }
  await copyOthers({ source, header, replaced, file });
  const dora = source.manifest.modules.some(({ magnitude }) => magnitude);
  const config = shrunkConfig(source.config, ranked, dora);
  const isUnstacked = factored.some(({ delta }) => delta.expert);
  return {
    config: isUnstacked ? unstackedConfig(config, ranked) : config,
    result: {
      rank: Math.max(...modules.map(({ rank }) => rank)),
      relative_error: relativeError(missing, total),
      modules,
    },
  };
}

/** Each pair of factors once, also where two modules share it. */
export function factoredModules(
  { name, manifest }: SourceVersion,
  header: SafetensorsHeader,
  { stacks = false } = {},
): Factored[] {
  const tensors = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  const found = new Map<string, Factored>();
  for (const each of manifest.modules) {
    const { module, lora } = each;
    if (!lora) continue;
    const experts = stacks && !isFactored(lora) ? stackedDeltas(each) : undefined;
    for (const [own, delta] of experts ?? []) found.set(own, { module: own, delta });
    if (experts) continue;
    if (!isFactored(lora) || !isWhole(lora.a, tensors) || !isWhole(lora.b, tensors)) {
      throw new DerivationRefused(
        `The factors of ${module} in ${name} lie in the file in a form that cannot be shrunk.`,
      );
    }
    const known = found.get(lora.a.name);
    if (known && (known.delta.b.name !== lora.b.name || known.delta.scale !== lora.scale)) {
      throw new DerivationRefused(
        `${known.module} and ${module} of ${name} share a factor, and differ in others.`,
      );
    }
    found.set(lora.a.name, known ?? { module, delta: lora });
  }
  if (found.size === 0) throw new DerivationRefused(`${name} has no low-rank deltas that could be shrunk.`);
  return [...found.values()];
}

function isWhole({ name, begin, end }: TensorRef, tensors: ReadonlyMap<string, TensorInfo>): boolean {
  const tensor = tensors.get(name);
  return tensor?.begin === begin && tensor.end === end && tensor.shape.length === 2;
}

/** The module's path as the file has it. */
function pathIn(tensor: string): string | undefined {
  return /^base_model\.model\.(.+)\.lora_(?:embedding_)?A(?:\.weight)?$/.exec(tensor)?.[1];
}

/** All but the factors that were replaced; `scaled`: whose scale is 1 from now on, so that biases of deltas take it. */
export async function copyOthers({
  source,
  header,
  replaced,
  file,
  scaled: isScaled = true,
}: {
  readonly source: SourceVersion;
  readonly header: SafetensorsHeader;
  readonly replaced: ReadonlySet<string>;
  readonly file: DerivedFile;
  readonly scaled?: boolean;
}): Promise<void> {
  const scaled = isScaled ? scaledBiases(source.manifest.modules) : new Map<string, number>();
  for (const { name, dtype, shape, begin, end } of header.tensors) {
    if (replaced.has(name)) continue;
    const bytes = begin === end ? new Uint8Array() : await source.read(begin, end);
    const scale = scaled.get(name) ?? 1;
    const changed =
      scale === 1 || !isFloatDtype(dtype)
        ? bytes
        : encodeFloats(
            dtype,
            decodeFloats(dtype, bytes).map((value) => value * scale),
          );
    await file.add(name, dtype, shape, changed);
  }
}

/** The bias of a delta was multiplied by its scale, which is 1 from now on. */
function scaledBiases(modules: readonly ManifestModule[]): ReadonlyMap<string, number> {
  return new Map(
    modules.flatMap(({ lora }) => (lora?.loraBias ? [[lora.loraBias.name, lora.scale] as const] : [])),
  );
}
