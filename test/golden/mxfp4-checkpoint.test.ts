import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openModel } from '#native-engine/load.js';

/* What families.test.ts holds to Transformers, broken: an error that names the tensor, before anything is served. */

const MODEL = join(import.meta.dirname, 'families', 'gpt-oss-mxfp4', 'model');
const SCALES = 'model.layers.1.mlp.experts.down_proj_scales';
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function withWeights(change: (file: Buffer) => Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-mxfp4-'));
  folders.push(folder);
  cpSync(MODEL, folder, { recursive: true });
  const path = join(folder, 'model.safetensors');
  writeFileSync(path, change(readFileSync(path)));
  return folder;
}

const open = (modelPath: string, quantization: 'none' | 'int4' = 'none') =>
  openModel({
    modelPath,
    backend: 'cpu',
    threads: 1,
    quantization,
    maxStepTokens: 32,
    maxSequences: 2,
    kv: { bytes: 1 << 20, pageTokens: 16, dtype: 'f32' },
  });

/** Other text of the same length in the header. */
const renamed = (from: string, to: string) => (file: Buffer) => {
  const text = file.toString('latin1');
  return Buffer.from(text.replaceAll(from, to.padEnd(from.length)), 'latin1');
};

describe('a checkpoint whose experts are in MXFP4', () => {
  it('names a scale that is no number', async () => {
    const folder = withWeights((file) => {
      file[placeOf(SCALES, file) + 3] = 255;
      return file;
    });
    await expect(open(folder)).rejects.toThrow(`${SCALES} holds 255`);
  });

  it('needs the scales of its blocks', async () => {
    const folder = withWeights(renamed('experts.down_proj_scales', 'experts.down_proj_scalez'));
    await expect(open(folder)).rejects.toThrow('has no tensor model.layers.0.mlp.experts.down_proj_scales');
  });

  it('has bytes, not floats', async () => {
    const folder = withWeights((file) => {
      const text = file.toString('latin1');
      return Buffer.from(text.replace(/(down_proj_blocks":\{"dtype":)"U8"/, '$1"I8"'), 'latin1');
    });
    await expect(open(folder)).rejects.toThrow('has dtype I8; MXFP4 needs U8');
  });

  it('is quantized anew when that is asked for', async () => {
    const model = await open(MODEL, 'int4');
    await model.close();
    expect(model.description.architecture).toBe('GptOssForCausalLM');
  });
});

/** Where the tensor's bytes begin in the file. */
function placeOf(tensor: string, file: Buffer): number {
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerBytes)) as Record<
    string,
    { data_offsets: number[] }
  >;
  const begin = header[tensor]?.data_offsets[0];
  if (begin === undefined) throw new Error(`the fixture has no ${tensor}`);
  return 8 + headerBytes + begin;
}
