import { describe, expect, it } from 'vitest';
import { parseSettings, SettingsError } from '#runtime/settings.js';
import { servingSettings } from './settings.js';

describe('serving settings', () => {
  it('has a default for everything but the model', () => {
    expect(parseSettings(servingSettings, { MODEL_PATH: '/models/x' })).toMatchObject({
      quantization: 'none',
      device: 'auto',
      kvCacheDtype: 'auto',
      adapterDtype: 'auto',
      adapterCacheBytes: 2 ** 30,
      maxSequences: 64,
      maxStepTokens: 512,
      maxContext: undefined,
    });
  });

  it('takes every quantization that the engine has', () => {
    for (const quantization of ['none', 'int8', 'int4', 'nf4']) {
      const settings = parseSettings(servingSettings, {
        MODEL_PATH: '/models/x',
        QUANTIZATION: quantization,
      });
      expect(settings.quantization).toBe(quantization);
    }
  });

  it('names every fault at once', () => {
    const parse = (): unknown =>
      parseSettings(servingSettings, {
        DEVICE: 'gpu',
        QUANTIZATION: 'int3',
        ADAPTER_DTYPE: 'int4',
        KV_CACHE_BYTES: 'much',
        MAX_CONTEXT: '0',
      });
    expect(parse).toThrow(SettingsError);
    expect(parse).toThrow(/MODEL_PATH: is required/);
    expect(parse).toThrow(/DEVICE: expected auto, cpu, cuda or cuda:N, got "gpu"/);
    expect(parse).toThrow(/QUANTIZATION: expected one of none, int8, int4, nf4, got "int3"/);
    expect(parse).toThrow(/ADAPTER_DTYPE: expected one of auto, stored, bf16, int8/);
    expect(parse).toThrow(/KV_CACHE_BYTES: expected bytes/);
    expect(parse).toThrow(/MAX_CONTEXT: expected a whole number/);
  });
});
