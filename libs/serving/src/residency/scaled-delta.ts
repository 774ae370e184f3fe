import type { AdapterManifest, ManifestModule } from '#contracts/adapter-manifest.js';
import { AppError } from '#runtime/app-error.js';

/**
 * What of an adapter is no low-rank delta beside the base's weights, as the end of a sentence; undefined: nothing. Only
 * deltas can be scaled or added up: PEFT's scale leaves replaced weights, biases and rows as they are, so that 0 would not
 * be the base model, and DoRA divides by a norm that holds the delta too.
 */
export function beyondDeltas({
  modules,
  vocabSize,
}: Pick<AdapterManifest, 'modules' | 'vocabSize'>): string | undefined {
  if (vocabSize !== undefined) return `has a vocabulary of its own (${vocabSize} tokens)`;
  for (const change of modules) {
    const what = beyondDelta(change);
    if (what !== undefined) return `${what} (${change.module})`;
  }
  return undefined;
}

function beyondDelta({ magnitude, weight, bias, tokenRows }: ManifestModule): string | undefined {
  if (magnitude !== undefined) return 'is trained with DoRA, whose norm holds the delta';
  if (weight !== undefined)
    return 'replaces whole weights (modules_to_save, or a copy of the embedding saved beside it)';
  if (bias !== undefined) return 'replaces biases';
  return tokenRows === undefined ? undefined : 'replaces rows of tokens';
}

/** Refuses another scale than 1 where it has no exact meaning. */
export function checkScale(scale: number, manifest: AdapterManifest | undefined): void {
  if (scale === 1) return;
  if (manifest === undefined) throw scaleFault('the base model has no adapter to scale');
  const what = beyondDeltas(manifest);
  if (what !== undefined) throw scaleFault(`only low-rank deltas can be scaled, and the adapter ${what}`);
}

function scaleFault(message: string): AppError {
  return new AppError('invalid_request', { message: `lora_scale: ${message}`, param: 'lora_scale' });
}
