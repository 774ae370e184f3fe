import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { AdapterManifestSchema } from '#contracts/adapter-manifest.js';
import type { DerivationResult } from '#contracts/derivations-api.js';
import { LENGTH_BYTES, parseHeader, parseHeaderLength, type SafetensorsHeader } from '#safetensors/header.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { CONFIG_FILE, limitOfPart, WEIGHTS_FILE } from '../intake/upload-parts.js';
import { MAX_ADAPTER_HEADER_BYTES } from '../peft/read-adapter.js';
import { compose, type Derived, type OnModule } from './compose.js';
import { DerivationRefused } from './derivation-refused.js';
import { type ConvertedFor, convertToGguf } from './convert-gguf.js';
import { convertToInt8 } from './convert-int8.js';
import { convertToMlx } from './convert-mlx.js';
import { convertToPeft } from './convert-peft.js';
import { DerivedFile } from './derived-file.js';
import type { ConvertRecipe, Recipe } from './recipe.js';
import { shrink } from './shrink.js';
import type { SourceVersion } from './source-version.js';

/** The name of an adapter's file in GGUF. */
export const GGUF_FILE = 'adapter.gguf';
/** Beyond which a manifest is no adapter's of ours. */
const MANIFEST_LIMIT_BYTES = 256 * 2 ** 20;

export interface DerivationJob {
  readonly recipe: Recipe;
  readonly inputs: readonly DerivationJobInput[];
  /** There and empty; gets adapter_config.json and adapter_model.safetensors. */
  readonly folder: string;
  /** What is known of the base of the inputs; needed for GGUF. */
  readonly base?: (ConvertedFor & { readonly digest: string }) | undefined;
  /** Factors of one module may need so much while they are computed with. */
  readonly memoryBytes: number;
}

export interface DerivationJobInput {
  readonly name: string;
  readonly weight: number;
  /** Of its manifest. */
  readonly digest: string;
  /** Of its adapter_config.json. */
  readonly configSha256: string;
}

/** Throws DerivationRefused where the versions cannot be made into what is asked. */
export async function derive(
  { recipe, inputs, base, folder, memoryBytes }: DerivationJob,
  blobs: BlobStore,
  onModule: OnModule,
): Promise<DerivationResult> {
  const sources: SourceVersion[] = [];
  for (const input of inputs) sources.push(await openSource(input, blobs));
  refuseTooLarge(sources, memoryBytes);
  if (recipe.operation === 'convert' && recipe.to === 'gguf')
    return gguf(recipe, sources[0], { base, folder });
  const file = await DerivedFile.create(join(folder, WEIGHTS_FILE));
  try {
    const { config, result } = await computed(recipe, sources, { file, onModule });
    await file.finish();
    await writeFile(join(folder, CONFIG_FILE), `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
    return result;
  } finally {
    await file.close();
  }
}

async function computed(
  recipe: Recipe,
  sources: readonly SourceVersion[],
  out: { readonly file: DerivedFile; readonly onModule: OnModule },
): Promise<Derived> {
  if (recipe.operation === 'compose') return compose(recipe, sources, out);
  const [source] = sources;
  if (!source) throw new Error('a version is made from one at least');
  if (recipe.operation === 'convert' && recipe.to === 'mlx') return convertToMlx(source, recipe.dtype, out);
  const from = { source, header: await readHeader(source) };
  if (recipe.operation === 'shrink') return shrink(recipe, from, out);
  return recipe.to === 'int8' ? convertToInt8(from, recipe.dtype, out) : convertToPeft(from, out.file);
}

async function gguf(
  { dtype }: ConvertRecipe,
  source: SourceVersion | undefined,
  { base, folder }: Pick<DerivationJob, 'base' | 'folder'>,
): Promise<DerivationResult> {
  if (!source || base?.digest !== source.manifest.base) {
    throw new DerivationRefused(
      'The base model that the version was validated against is not the one that is served.',
    );
  }
  await convertToGguf(source, { base, dtype, path: join(folder, GGUF_FILE) });
  const modules = source.manifest.modules.map(({ module, lora }) => ({
    module,
    rank: lora?.rank ?? 0,
    relative_error: null,
  }));
  return { rank: Math.max(...modules.map(({ rank }) => rank)), relative_error: null, modules };
}

async function openSource(input: DerivationJobInput, blobs: BlobStore): Promise<SourceVersion> {
  const json = await blobs.read(input.digest, MANIFEST_LIMIT_BYTES);
  const manifest = AdapterManifestSchema.parse(JSON.parse(json.toString('utf8')));
  const config = await blobs.read(input.configSha256, limitOfPart(CONFIG_FILE, 0));
  const { sha256 } = manifest.weights;
  return {
    name: input.name,
    weight: input.weight,
    manifest,
    config: JSON.parse(config.toString('utf8')) as Record<string, unknown>,
    read: async (begin, end) => buffer(await blobs.open(sha256, { begin, end })),
  };
}

async function readHeader({ read }: SourceVersion): Promise<SafetensorsHeader> {
  const length = parseHeaderLength(await read(0, LENGTH_BYTES), MAX_ADAPTER_HEADER_BYTES);
  return parseHeader(await read(LENGTH_BYTES, LENGTH_BYTES + length));
}

/** Doubles of both factors, of their decompositions and of the result: about eight times each element. */
function refuseTooLarge(sources: readonly SourceVersion[], memoryBytes: number): void {
  const sizes = new Map<string, number>();
  for (const { manifest } of sources) {
    for (const { module, lora } of manifest.modules) {
      const elements = [lora?.a, lora?.b].reduce(
        (sum, tensor) => sum + (tensor?.shape.reduce((product, size) => product * size, 1) ?? 0),
        0,
      );
      sizes.set(module, (sizes.get(module) ?? 0) + elements * 64);
    }
  }
  for (const [module, bytes] of sizes) {
    if (bytes <= memoryBytes) continue;
    throw new DerivationRefused(
      `The factors of ${module} need about ${Math.ceil(bytes / 2 ** 20)} MiB to compute with; ` +
        `${Math.floor(memoryBytes / 2 ** 20)} MiB are allowed (DERIVATION_MEMORY_BYTES).`,
    );
  }
}
