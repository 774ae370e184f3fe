import type { Subject } from './limit-store.js';
import type { RateLimits } from './rate-limits.js';

/**
 * What one of `processes` may grant while they cannot count together. Rates add up to the limit; of what cannot be
 * divided each may grant at least one, or a tenant with a small limit would be shut out.
 */
export function shareOf(subject: Subject, processes: number): Subject {
  if (processes <= 1) return subject;
  const { requests_per_minute, tokens_per_minute, concurrent_requests } = subject.limits;
  const limits: RateLimits = {
    ...(requests_per_minute === undefined
      ? {}
      : { requests_per_minute: Math.max(1, requests_per_minute / processes) }),
    ...(tokens_per_minute === undefined
      ? {}
      : { tokens_per_minute: Math.max(1, tokens_per_minute / processes) }),
    ...(concurrent_requests === undefined
      ? {}
      : { concurrent_requests: Math.max(1, Math.floor(concurrent_requests / processes)) }),
  };
  return { ...subject, limits };
}
