import { describe, expect, it } from 'vitest';
import { adapterDtype, kvDtype } from './model-opening.js';

describe('the element type of the KV cache', () => {
  it('is f32 beside weights as in the checkpoint and bf16 beside quantized ones when auto', () => {
    expect(kvDtype({ kvCacheDtype: 'auto', quantization: 'none' })).toBe('f32');
    for (const quantization of ['int8', 'int4', 'nf4'] as const) {
      expect(kvDtype({ kvCacheDtype: 'auto', quantization })).toBe('bf16');
    }
  });

  it('is what the setting says where it says more than auto', () => {
    for (const kvCacheDtype of ['f32', 'f16', 'bf16', 'int8'] as const) {
      expect(kvDtype({ kvCacheDtype, quantization: 'none' })).toBe(kvCacheDtype);
      expect(kvDtype({ kvCacheDtype, quantization: 'int4' })).toBe(kvCacheDtype);
    }
  });
});

describe('what adapters are kept in', () => {
  it('is what their files have beside weights as in the checkpoint and bf16 beside quantized ones when auto', () => {
    expect(adapterDtype({ adapterDtype: 'auto', quantization: 'none' })).toBe('stored');
    for (const quantization of ['int8', 'int4', 'nf4'] as const) {
      expect(adapterDtype({ adapterDtype: 'auto', quantization })).toBe('bf16');
    }
  });

  it('is what the setting says where it says more than auto', () => {
    for (const dtype of ['stored', 'bf16', 'int8'] as const) {
      expect(adapterDtype({ adapterDtype: dtype, quantization: 'none' })).toBe(dtype);
      expect(adapterDtype({ adapterDtype: dtype, quantization: 'int4' })).toBe(dtype);
    }
  });
});
