import type {
  PatchQuotas,
  PatchRateLimits,
  QuotasResource,
  RateLimitsResource,
} from '#contracts/limits-api.js';

/** What is absent is unlimited; so they are stored. */
export interface RateLimits {
  readonly requests_per_minute?: number;
  readonly tokens_per_minute?: number;
  readonly concurrent_requests?: number;
}

export interface Quotas extends RateLimits {
  readonly adapters?: number;
  readonly stored_bytes?: number;
  readonly max_context?: number;
}

/** Changes what the patch names; null takes a limit away. */
export function patched<L extends Quotas>(limits: L, patch: PatchQuotas | PatchRateLimits): L {
  const entries = Object.entries({ ...limits, ...patch });
  return Object.fromEntries(entries.filter(([, limit]) => limit !== null && limit !== undefined)) as L;
}

export function rateLimitsResource(limits: RateLimits): RateLimitsResource {
  return {
    requests_per_minute: limits.requests_per_minute ?? null,
    tokens_per_minute: limits.tokens_per_minute ?? null,
    concurrent_requests: limits.concurrent_requests ?? null,
  };
}

export function quotasResource(quotas: Quotas): QuotasResource {
  return {
    ...rateLimitsResource(quotas),
    adapters: quotas.adapters ?? null,
    stored_bytes: quotas.stored_bytes ?? null,
    max_context: quotas.max_context ?? null,
  };
}
