import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { AdapterManifest, TensorRef } from '#contracts/adapter-manifest.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';

interface Header {
  readonly [name: string]: {
    readonly dtype: TensorRef['dtype'];
    readonly shape: number[];
    readonly data_offsets: [number, number];
  };
}

/**
 * Puts a PEFT folder that holds nothing but plain LoRA pairs into the blob store, as the ingest would, and returns its
 * digest. For tests of the engine alone; the real reader of PEFT folders is libs/adapters.
 */
export async function storePlainLora(blobs: BlobStore, folder: string, base: string): Promise<string> {
  const weightsFile = join(folder, 'adapter_model.safetensors');
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as {
    r: number;
    lora_alpha: number;
    use_rslora: boolean;
  };
  const limitBytes = 2 ** 30;
  const weights = await blobs.put(createReadStream(weightsFile), { limitBytes });
  const manifest: AdapterManifest = {
    format: 'lorikeet.adapter.v1',
    base,
    weights,
    modules: loraPairs(readFileSync(weightsFile)).map(({ module, a, b }) => ({
      module,
      lora: {
        rank: config.r,
        scale: config.lora_alpha / (config.use_rslora ? Math.sqrt(config.r) : config.r),
        a,
        b,
      },
    })),
  };
  return (await blobs.put(Readable.from([Buffer.from(JSON.stringify(manifest))]), { limitBytes })).sha256;
}

function loraPairs(file: Buffer): { module: string; a: TensorRef; b: TensorRef }[] {
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerBytes)) as Header;
  const tensor = (name: string): TensorRef => {
    const entry = header[name];
    if (entry === undefined) throw new Error(`no tensor ${name}`);
    const [begin, end] = entry.data_offsets;
    const dataBegin = 8 + headerBytes;
    return { name, dtype: entry.dtype, shape: entry.shape, begin: dataBegin + begin, end: dataBegin + end };
  };
  return Object.keys(header)
    .filter((name) => name.endsWith('.lora_A.weight'))
    .map((name) => ({
      module: name.slice('base_model.model.'.length, -'.lora_A.weight'.length),
      a: tensor(name),
      b: tensor(name.replace('.lora_A.', '.lora_B.')),
    }));
}
