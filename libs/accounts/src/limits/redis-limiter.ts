import type { Redis, Result } from 'ioredis';
import { inTime } from '#stores/redis/in-time.js';
import { ADMIT, RENEW, SETTLE } from './limit-scripts.js';
import {
  type Ask,
  type Decision,
  LEASE_MS,
  type LimitKind,
  type Settlement,
  type Subject,
} from './limit-store.js';
import { fitting } from './token-bucket.js';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    lorikeetAdmit(keyCount: number, ...args: string[]): Result<(string | number)[], Context>;
    lorikeetSettle(keyCount: number, ...args: string[]): Result<number, Context>;
    lorikeetRenew(keyCount: number, ...args: string[]): Result<number, Context>;
  }
}

/** What a process took while it was alone, to be told to Redis. */
export interface Charge {
  readonly subject: Subject;
  readonly requests: number;
  readonly tokens: number;
}

const NO_LEASE = '';

/** The limits as all API processes see them together: one round trip for an admission. */
export class RedisLimiter {
  constructor(
    private readonly redis: Redis,
    private readonly lease_ms = LEASE_MS,
  ) {
    redis.defineCommand('lorikeetAdmit', { lua: ADMIT });
    redis.defineCommand('lorikeetSettle', { lua: SETTLE });
    redis.defineCommand('lorikeetRenew', { lua: RENEW });
  }

  async admit(tenantId: string, { subjects, tokens, lease }: Ask): Promise<Decision> {
    const keys = keysOf(tenantId, subjects);
    const limits = subjects.flatMap(({ limits: { requests_per_minute, tokens_per_minute, ...rest } }) =>
      [requests_per_minute, tokens_per_minute, rest.concurrent_requests].map(textOf),
    );
    const args = [lease, String(this.lease_ms), String(tokens), ...limits];
    const answer = await inTime(this.redis.lorikeetAdmit(keys.length, ...keys, ...args));
    const [refused, kind, wait, ...left] = answer.map(String);
    return {
      refusal:
        refused === '0'
          ? undefined
          : { subject: Number(refused) - 1, kind: kind as LimitKind, wait_ms: numberOf(wait) },
      remaining: subjects.map((_, index) => ({
        requests: numberOf(left[2 * index]),
        tokens: numberOf(left[2 * index + 1]),
      })),
    };
  }

  async settle(tenantId: string, { subjects, tokens, usedTokens, lease }: Settlement): Promise<void> {
    const charges = subjects.map((subject) => ({
      subject,
      requests: 0,
      tokens: usedTokens - fitting(tokens, subject.limits.tokens_per_minute ?? tokens),
    }));
    await this.#settle(tenantId, charges, lease);
  }

  /** Takes what was admitted elsewhere. */
  async charge(tenantId: string, charges: readonly Charge[]): Promise<void> {
    await this.#settle(tenantId, charges, NO_LEASE);
  }

  /** Says that these requests still run. */
  async renew(tenantId: string, subject: Subject, leases: readonly string[]): Promise<void> {
    const [, running] = keysOf(tenantId, [subject]);
    await inTime(this.redis.lorikeetRenew(1, running ?? '', String(this.lease_ms), ...leases));
  }

  async #settle(tenantId: string, charges: readonly Charge[], lease: string): Promise<void> {
    const keys = keysOf(
      tenantId,
      charges.map(({ subject }) => subject),
    );
    const args = charges.flatMap(({ subject: { limits }, requests, tokens }) => [
      String(requests),
      textOf(limits.requests_per_minute),
      String(tokens),
      textOf(limits.tokens_per_minute),
    ]);
    await inTime(this.redis.lorikeetSettle(keys.length, ...keys, lease, ...args));
  }
}

/** In a cluster all keys of a tenant lie on one node. */
function keysOf(tenantId: string, subjects: readonly Subject[]): string[] {
  return subjects.flatMap(({ kind, id }) => {
    const key = `lorikeet:limits:{${tenantId}}:${kind === 'tenant' ? 'tenant' : `key:${id}`}`;
    return [key, `${key}:running`];
  });
}

function textOf(limit: number | undefined): string {
  return limit === undefined ? '' : String(limit);
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined || text === '' ? undefined : Number(text);
}
