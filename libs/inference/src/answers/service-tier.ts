import type { CompletionRequest } from '#contracts/openai/completion-request.js';
import type { ServiceTier } from '#contracts/openai/usage.js';

/** The member `service_tier` of an answer: there only where the request has it. */
export function serviceTier({ service_tier: asked }: Pick<CompletionRequest, 'service_tier'>): {
  service_tier?: ServiceTier;
} {
  if (!asked) return {};
  return { service_tier: asked === 'auto' || asked === 'scale' ? 'default' : asked };
}
