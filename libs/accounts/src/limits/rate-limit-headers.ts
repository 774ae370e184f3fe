import type { Decision, Remaining, Subject } from './limit-store.js';
import { wait_ms } from './token-bucket.js';

type Rate = 'requests' | 'tokens';

interface Left {
  readonly limit: number;
  readonly remaining: number;
}

/** OpenAI's `x-ratelimit-*`; of a tenant and its key the one that has less left. */
export function rateLimitHeaders(
  subjects: readonly Subject[],
  { remaining }: Pick<Decision, 'remaining'>,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const rate of ['requests', 'tokens'] as const) {
    const tightest = subjects
      .flatMap((subject, index) => leftOf(rate, subject, remaining[index]))
      .sort((a, b) => a.remaining - b.remaining)[0];
    if (!tightest) continue;
    headers[`x-ratelimit-limit-${rate}`] = String(Math.floor(tightest.limit));
    headers[`x-ratelimit-remaining-${rate}`] = String(Math.max(0, Math.floor(tightest.remaining)));
    const full_ms = wait_ms(tightest.remaining, tightest.limit, tightest.limit);
    headers[`x-ratelimit-reset-${rate}`] = duration(full_ms);
  }
  return headers;
}

function leftOf(rate: Rate, { limits }: Subject, remaining: Remaining | undefined): Left[] {
  const limit = rate === 'requests' ? limits.requests_per_minute : limits.tokens_per_minute;
  const left = remaining?.[rate];
  return limit === undefined || left === undefined ? [] : [{ limit, remaining: left }];
}

/** `6m0s`, `1.5s`, `20ms`: as OpenAI writes a time. Never less than it is. */
export function duration(time_ms: number): string {
  const whole_ms = Math.ceil(time_ms);
  if (whole_ms < 1_000) return `${whole_ms}ms`;
  const minutes = Math.floor(whole_ms / 60_000);
  const seconds = (whole_ms - minutes * 60_000) / 1_000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}
