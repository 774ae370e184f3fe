import type { DerivationResult, FactorDtype } from '#contracts/derivations-api.js';
import { encodeFloats, roundedTo } from '#safetensors/floats.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { isMlxConfig } from '../mlx/mlx-config.js';
import { type Derived, type OnModule, relativeError, STORED } from './compose.js';
import { DerivationRefused } from './derivation-refused.js';
import type { DerivedFile } from './derived-file.js';
import { int8Factors } from './int8-factors.js';
import { lossOf } from './low-rank.js';
import { copyOthers, factoredModules } from './shrink.js';
import { readFactors, type SourceVersion } from './source-version.js';

/** An engine keeps the factors of embeddings as they are, and so does this. */
const EMBEDDING = /\.lora_embedding_A\b/;

/**
 * The version with the numbers that an engine with ADAPTER_DTYPE=int8 would compute with, in PEFT's form, which has no
 * integers (ADR 27). Config, scales and all but the factors of linear maps stay as they are.
 */
export async function convertToInt8(
  { source, header }: { readonly source: SourceVersion; readonly header: SafetensorsHeader },
  dtype: FactorDtype | undefined,
  { file, onModule }: { readonly file: DerivedFile; readonly onModule: OnModule },
): Promise<Derived> {
  if (isMlxConfig(source.config))
    throw new DerivationRefused(`${source.name} is in MLX-LM's form: convert it to peft first.`);
  const factored = factoredModules(source, header).filter(({ delta }) => !EMBEDDING.test(delta.a.name));
  if (factored.length === 0) throw new DerivationRefused(`${source.name} has no factors of linear maps.`);
  const modules: DerivationResult['modules'] = [];
  let [total, missing] = [0, 0];
  for (const { module, delta } of factored) {
    const exact = await readFactors(source, delta);
    const kept = int8Factors(exact);
    const types = { a: dtype ? STORED[dtype] : delta.a.dtype, b: dtype ? STORED[dtype] : delta.b.dtype };
    const [a, b] = [roundedTo(types.a, kept.a), roundedTo(types.b, kept.b)];
    await file.add(delta.a.name, types.a, delta.a.shape, encodeFloats(types.a, a));
    await file.add(delta.b.name, types.b, delta.b.shape, encodeFloats(types.b, b));
    const loss = lossOf(exact, { ...exact, a, b });
    total += loss.total;
    missing += loss.missing;
    const { rank } = exact;
    modules.push({ module, rank, relative_error: relativeError(loss.missing, loss.total) });
    onModule(modules.length, factored.length);
  }
  const replaced = new Set(factored.flatMap(({ delta }) => [delta.a.name, delta.b.name]));
  await copyOthers({ source, header, replaced, file, scaled: false });
  const rank = Math.max(...modules.map((each) => each.rank));
  return { config: source.config, result: { rank, relative_error: relativeError(missing, total), modules } };
}
