import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { readSafetensors } from '#safetensors/reader.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { type AdapterReading, readAdapter } from './read-adapter.js';

const cases = new URL('../../../../test/golden/cases/', import.meta.url);
const weights = { sha256: 'a'.repeat(64), bytes: 1 };

function read(path: string): AdapterReading {
  const [model = ''] = path.split('/');
  return readAdapter({
    configJson: readFileSync(new URL(`${path}/adapter_config.json`, cases), 'utf8'),
    header: readSafetensors(readFileSync(new URL(`${path}/adapter_model.safetensors`, cases))).header,
    base: llamaBase(new URL(`${model}/model/config.json`, cases)),
    weights,
  });
}

function accepted(path: string): AdapterManifest {
  const reading = read(path);
  expect(reading.report.errors).toEqual([]);
  if (reading.verdict !== 'accepted') throw new Error('rejected');
  return reading.manifest;
}

/** "rank:scale" by the module's last name and layer, so that a test can list what it expects. */
function scales(manifest: AdapterManifest): Record<string, string> {
  return Object.fromEntries(
    manifest.modules.map(({ module, lora }) => [
      module.replace(/^model\.(layers\.)?/, '').replace(/(self_attn|mlp)\./, ''),
      lora ? `${lora.rank}:${lora.scale}` : 'none',
    ]),
  );
}

const ATTENTION_AND_MLP = 7;

describe('a PEFT checkpoint', () => {
  it('qv-r8: two projections in each of three layers, scale 2', () => {
    const manifest = accepted('llama-gqa/adapters/qv-r8');
    expect(scales(manifest)).toEqual({
      '0.q_proj': '8:2',
      '0.v_proj': '8:2',
      '1.q_proj': '8:2',
      '1.v_proj': '8:2',
      '2.q_proj': '8:2',
      '2.v_proj': '8:2',
    });
    expect(manifest.modules[1]).toMatchObject({
      module: 'model.layers.0.self_attn.v_proj',
      lora: {
        a: {
          name: 'base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight',
          dtype: 'F32',
          shape: [8, 64],
        },
        b: { shape: [32, 8] },
      },
    });
    expect(manifest.modules[1]?.lora?.a.end).toBe((manifest.modules[1]?.lora?.a.begin ?? 0) + 8 * 64 * 4);
  });

  it('all-r16-bf16: all seven projections, scale 1, in BF16', () => {
    const manifest = accepted('llama-gqa/adapters/all-r16-bf16');
    expect(manifest.modules).toHaveLength(3 * ATTENTION_AND_MLP);
    expect(new Set(Object.values(scales(manifest)))).toEqual(new Set(['16:1']));
    expect(new Set(manifest.modules.map(({ lora }) => lora?.a.dtype))).toEqual(new Set(['BF16']));
  });

  it('rslora-r4: alpha 8 over the root of 4', () => {
    const manifest = accepted('llama-gqa/adapters/rslora-r4');
    expect(manifest.modules).toHaveLength(3 * ATTENTION_AND_MLP);
    expect(new Set(Object.values(scales(manifest)))).toEqual(new Set(['4:4']));
  });

  it('patterns: ranks and alphas by module', () => {
    expect(scales(accepted('llama-gqa/adapters/patterns'))).toEqual({
      '0.q_proj': '2:8',
      '0.down_proj': '5:3.2',
      '1.q_proj': '8:8',
      '1.down_proj': '5:3.2',
      '2.q_proj': '8:2',
      '2.down_proj': '5:3.2',
    });
  });

  it('some-layers: layers 0 and 2 only', () => {
    expect(scales(accepted('llama-gqa/adapters/some-layers'))).toEqual({
      '0.q_proj': '6:2',
      '0.up_proj': '6:2',
      '2.q_proj': '6:2',
      '2.up_proj': '6:2',
    });
  });

  it('dora-r8: a magnitude for each output', () => {
    const manifest = accepted('llama-gqa/adapters/dora-r8');
    expect(manifest.modules).toHaveLength(9);
    expect(manifest.modules.map(({ magnitude }) => magnitude?.shape)).toEqual(
      [1, 2, 3].flatMap(() => [[64], [32], [64]]),
    );
  });

  it('save-lm-head: the output head is replaced, without a delta', () => {
    const manifest = accepted('llama-gqa/adapters/save-lm-head');
    expect(manifest.modules).toHaveLength(7);
    expect(manifest.modules.at(-1)).toEqual({
      module: 'lm_head',
      weight: expect.objectContaining({ name: 'base_model.model.lm_head.weight', shape: [512, 64] }),
    });
  });

  it('embed-lm-head: deltas on both embeddings, and their saved weights', () => {
    const manifest = accepted('llama-gqa/adapters/embed-lm-head');
    expect(manifest.modules).toHaveLength(5);
    expect(manifest.modules[0]).toMatchObject({
      module: 'model.embed_tokens',
      lora: { rank: 8, scale: 2, a: { shape: [8, 512] }, b: { shape: [64, 8] } },
      weight: { shape: [512, 64] },
    });
    expect(manifest.modules[4]).toMatchObject({
      module: 'lm_head',
      lora: { a: { shape: [8, 64] }, b: { shape: [512, 8] } },
      weight: { name: 'base_model.model.lm_head.base_layer.weight' },
    });
  });

  it('all-r8 on a tied model: all-linear leaves the output head alone', () => {
    const manifest = accepted('llama3-rope-tied-sharded/adapters/all-r8');
    expect(manifest.modules).toHaveLength(2 * ATTENTION_AND_MLP);
    expect(new Set(Object.values(scales(manifest)))).toEqual(new Set(['8:2']));
  });

  it('is rejected for another base model, naming what does not fit', () => {
    const reading = readAdapter({
      configJson: readFileSync(new URL('llama-gqa/adapters/qv-r8/adapter_config.json', cases), 'utf8'),
      header: readSafetensors(
        readFileSync(new URL('llama-gqa/adapters/qv-r8/adapter_model.safetensors', cases)),
      ).header,
      base: llamaBase(new URL('llama3-rope-tied-sharded/model/config.json', cases)),
      weights,
    });
    expect(reading.verdict).toBe('rejected');
    expect(new Set(reading.report.errors.map(({ code }) => code))).toEqual(
      new Set(['tensor_module_unknown', 'tensor_shape']),
    );
  });
});
