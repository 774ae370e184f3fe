import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { CudaProbe, ModelInspection, NativeModel, OpenOptions } from './native.js';

interface Addon {
  open(options: OpenOptions): Promise<NativeModel>;
  inspect(modelPath: string): ModelInspection;
  probeCuda(device: number): CudaProbe;
  countCuda(): number;
  readonly sampleColumns: { readonly ints: readonly string[]; readonly floats: readonly string[] };
}

/* From libs/native-engine/src (run from source) and from dist/libs/native-engine/src (built). */
const ADDON_PLACES = [
  '../../../build/native/lorikeet.node',
  '../../../../build/native/lorikeet.node',
] as const;

let loaded: Addon | undefined;

function loadAddon(): Addon {
  if (loaded !== undefined) return loaded;
  const paths = ADDON_PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new Error(
      `The native engine is not built (looked for ${paths.join(' and ')}): run "npm run build".`,
    );
  }
  loaded = createRequire(import.meta.url)(path) as Addon;
  return loaded;
}

/** Opens a checkpoint on a native thread. Rejects with a message that names the file or option at fault. */
export async function openModel(options: OpenOptions): Promise<NativeModel> {
  return await loadAddon().open(options);
}

/**
 * What a checkpoint needs. Throws what makes it unusable, as far as its config.json and its tensors' names tell: within a
 * moment.
 */
export function inspectModel(modelPath: string): ModelInspection {
  return loadAddon().inspect(modelPath);
}

/** Throws why there is no such CUDA device that suffices. */
export function probeCuda(device: number): CudaProbe {
  return loadAddon().probeCuda(device);
}

/** How many CUDA devices the driver lets this process see; throws why there is no driver. */
export function countCuda(): number {
  return loadAddon().countCuda();
}

/** The columns of a sampled row as native reads them. */
export function nativeSampleColumns(): Addon['sampleColumns'] {
  return loadAddon().sampleColumns;
}
