import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { DefaultedField, GenerateRequest } from '#contracts/engine-protocol.js';

/** The request with the adapter's own defaults where its caller said nothing. */
export function withGenerationDefaults(
  request: GenerateRequest,
  manifest: AdapterManifest | undefined,
): GenerateRequest {
  const defaults = manifest?.generation;
  if (defaults === undefined || request.defaulted === undefined) return request;
  const open = new Set<DefaultedField>(request.defaulted);
  const { maxTokens, eosTokenIds: _, ...sampling } = defaults;
  const taken = Object.entries(sampling).filter(([name]) => open.has(name as DefaultedField));
  return {
    ...request,
    sampling: { ...request.sampling, ...Object.fromEntries(taken) },
    ...(maxTokens !== undefined && open.has('maxTokens')
      ? { maxTokens: Math.max(maxTokens, request.minTokens) }
      : {}),
  };
}
