import type { ServingSettings } from './model-opening.js';

/**
 * Largest difference of a token's log-probability that passes.
 */
export function parityTolerance({
  quantization,
  kvCacheDtype,
}: Pick<ServingSettings, 'quantization' | 'kvCacheDtype'>): number {
  const ofBase = quantization === 'none' ? 0.01 : 0.5;
  const ofCache = kvCacheDtype === 'f16' ? 0.05 : kvCacheDtype === 'bf16' ? 0.25 : 0;
  return ofBase + ofCache;
}
