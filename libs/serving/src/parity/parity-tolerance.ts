import { kvDtype, type ServingSettings } from '../model-opening.js';

/** Largest differences of log-probabilities that pass. */
export interface ParityTolerance {
  readonly max: number;
  readonly mean: number;
}

/** About a hundred times what float32 in another order makes of test/golden's and the demo's adapters. */
const FLOAT32: ParityTolerance = { max: 0.005, mean: 0.0005 };
/**
 * A key or value that falls to the other side of a rounding boundary moves all that attend to it. In int8 all elements of a
 * vector share the step of its largest, 1/127 of that, so the small ones lose more than in bf16. Seen with int8 over all of
 * test/golden and the demo: 0.021 and 0.0009.
 */
const ROUNDED_CACHE: Readonly<Record<'f16' | 'bf16' | 'int8', ParityTolerance>> = {
  f16: { max: 0.02, mean: 0.002 },
  bf16: { max: 0.1, mean: 0.01 },
  int8: { max: 0.1, mean: 0.01 },
};
/** So do quantized activations, at 127 steps: single tokens differ by up to 0.6, the mean stays below 0.04. */
const QUANTIZED: ParityTolerance = { max: 2, mean: 0.1 };

export function parityTolerance(
  settings: Pick<ServingSettings, 'quantization' | 'kvCacheDtype'>,
): ParityTolerance {
  if (settings.quantization !== 'none') return QUANTIZED;
  const dtype = kvDtype(settings);
  return dtype === 'f32' ? FLOAT32 : ROUNDED_CACHE[dtype];
}
