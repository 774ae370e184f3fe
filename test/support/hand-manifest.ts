import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ManifestModule, TensorRef } from '../../libs/contracts/src/adapter-manifest.js';
import type { AdapterSpec } from '../../libs/native-engine/src/native.js';

interface HeaderEntry {
  readonly dtype: TensorRef['dtype'];
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

function readTensors(path: string): TensorRef[] {
  const file = readFileSync(path);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString()) as Record<string, HeaderEntry>;
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => ({
        name,
        dtype,
        shape,
        begin: begin + 8 + headerBytes,
        end: end + 8 + headerBytes,
      }),
    );
}

/**
 * The native engine's view of a golden adapter, for tests of the engine alone: LoRA, DoRA and replaced weights, one
 * scale for all modules. The real reader of PEFT folders is libs/adapters.
 */
export function handManifest(folder: string, scale: number): AdapterSpec {
  const weightsPath = join(folder, 'adapter_model.safetensors');
  const tensors = new Map(readTensors(weightsPath).map((tensor) => [tensor.name, tensor]));
  const modules: ManifestModule[] = [];
  for (const [name, tensor] of tensors) {
    const parts = /^base_model\.model\.(.+?)\.(lora_A\.weight|lora_embedding_A|weight)$/.exec(name);
    if (parts === null || parts[1]?.endsWith('.base_layer') || parts[1]?.endsWith('.lora_B')) continue;
    const module = parts[1] as string;
    if (parts[2] === 'weight') {
      modules.push({ module, weight: tensor });
      continue;
    }
    const b = tensors.get(name.replace('_A', '_B'));
    if (b === undefined) throw new Error(`${name} has no B`);
    const magnitude = tensors.get(`base_model.model.${module}.lora_magnitude_vector`);
    modules.push({
      module,
      lora: { rank: tensor.shape[0] as number, scale, a: tensor, b },
      ...(magnitude === undefined ? {} : { magnitude }),
    });
  }
  return { weightsPath, modules };
}
