import type { RateLimits } from './rate-limits.js';

/** Whose limits: a tenant's or a key's. The id is unique among both. */
export interface Subject {
  readonly id: string;
  readonly kind: 'tenant' | 'key';
  readonly limits: RateLimits;
}

export interface Ask {
  /** All of one tenant: the tenant itself, its key, or both. */
  readonly subjects: readonly Subject[];
  /** Reserved until the request has ended. */
  readonly tokens: number;
  /** Names the request among those that run. */
  readonly lease: string;
}

/** What a subject has left after a request was admitted or refused; undefined where it has no such limit. */
export interface Remaining {
  readonly requests: number | undefined;
  readonly tokens: number | undefined;
}

export type LimitKind = 'requests' | 'tokens' | 'concurrency';

export interface Refusal {
  /** Index into the subjects. */
  readonly subject: number;
  readonly kind: LimitKind;
  /** When it may succeed; undefined where nobody knows (a running request must end). */
  readonly wait_ms: number | undefined;
}

export interface Decision {
  /** Absent: admitted. */
  readonly refusal: Refusal | undefined;
  /** One for each subject. */
  readonly remaining: readonly Remaining[];
}

/** What a request has used in the end. */
export interface Settlement extends Ask {
  readonly usedTokens: number;
}

/** How long a request counts as running after its process last said so. */
export const LEASE_MS = 30_000;
