import { randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit, Optional } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Registry } from 'prom-client';
import type { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { METRICS } from '#runtime/metrics.js';
import { inTime } from '#stores/redis/in-time.js';
import { REDIS } from '#stores/stores.module.js';
import type { Caller } from '../request-caller.js';
import { ACCOUNTS_LOGGER } from '../settings.js';
import { ApiProcesses } from './api-processes.service.js';
import { type Ask, type Decision, LEASE_MS, type Subject } from './limit-store.js';
import { LimitMetrics } from './limit-metrics.js';
import { LocalLimiter } from './local-limiter.js';
import { Owed } from './owed.js';
import { rateLimitHeaders } from './rate-limit-headers.js';
import { RedisLimiter } from './redis-limiter.js';
import { impossibleError, refusalError } from './refusal.js';
import { shareOf } from './shares.js';

const PROBE_MS = 500;
const PROBE_KEY = 'lorikeet:limits:probe';

export interface Admission {
  /** Absent: admitted. */
  readonly refusal: AppError | undefined;
  /** `x-ratelimit-*`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Must be called once when an admitted request has ended, with the tokens that it used. */
  readonly settle: (usedTokens: number) => void;
}

/** What a request may use. */
export interface Need {
  readonly tokens: number;
  /** Whether the request itself asks for so many, so that it must fit; else it may turn out to use less. */
  readonly stated: boolean;
}

interface Running {
  readonly tenantId: string;
  readonly ask: Ask;
}

/**
 * Admits requests within the limits of their tenant and key. All API processes count together in Redis; while Redis is
 * away, or where there is none, each grants its share. What it grants is always noted here too, so that a process that
 * is suddenly alone knows what it has granted already, and Redis is told afterwards.
 */
@Injectable()
export class RateLimiter implements OnModuleInit, OnModuleDestroy {
  readonly #local = new LocalLimiter();
  readonly #redis: RedisLimiter | undefined;
  readonly #owed = new Owed();
  readonly #running = new Map<string, Running>();
  readonly #metrics: LimitMetrics;
  #alone: boolean;
  #probe: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    private readonly processes: ApiProcesses,
    @Inject(REDIS) private readonly connection: Redis | undefined,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
    @Optional() @Inject(METRICS) registry?: Registry,
  ) {
    this.#redis = connection && new RedisLimiter(connection);
    this.#alone = connection === undefined;
    this.#metrics = new LimitMetrics(registry);
  }

  async onModuleInit(): Promise<void> {
    if (!this.connection) return;
    try {
      await this.connection.connect();
    } catch (err) {
      this.#goAlone(err);
    }
    this.#renewal = setInterval(() => void this.#renew(), LEASE_MS / 3);
    this.#renewal.unref();
  }

  onModuleDestroy(): void {
    this.#closed = true;
    clearInterval(this.#renewal);
    clearTimeout(this.#probe);
    this.connection?.disconnect();
  }

  /** Whether anything limits the rate of this caller; who is not limited need not be admitted. */
  isLimited(caller: Caller): boolean {
    return subjectsOf(caller).length > 0;
  }

  async admit(caller: Caller, { tokens, stated }: Need): Promise<Admission> {
    const subjects = subjectsOf(caller);
    const impossible = stated ? impossibleError(subjects, tokens) : undefined;
    if (impossible) return { refusal: impossible, headers: {}, settle: () => undefined };
    const ask = { subjects, tokens, lease: randomUUID() };
    const { decision, granted } = await this.#decide(caller.tenant.id, ask);
    const headers = rateLimitHeaders(granted.subjects, decision);
    if (decision.refusal) {
      this.#metrics.refused(decision.refusal.kind);
      return { refusal: refusalError(ask, decision.refusal), headers, settle: () => undefined };
    }
    this.#running.set(ask.lease, { tenantId: caller.tenant.id, ask });
    return { refusal: undefined, headers, settle: (usedTokens) => this.#settle(ask.lease, usedTokens) };
  }

  async #decide(tenantId: string, ask: Ask): Promise<{ decision: Decision; granted: Ask }> {
    const share = { ...ask, subjects: ask.subjects.map((subject) => shareOf(subject, this.processes.count)) };
    if (this.#redis && !this.#alone) {
      try {
        const decision = await this.#redis.admit(tenantId, ask);
        if (!decision.refusal) this.#local.take(share);
        return { decision, granted: ask };
      } catch (err) {
        this.#goAlone(err);
      }
    }
    const decision = this.#local.admit(share);
    if (!decision.refusal && this.#redis) this.#owed.granted(tenantId, ask);
    return { decision, granted: share };
  }

  #settle(lease: string, usedTokens: number): void {
    const running = this.#running.get(lease);
    if (!running) return;
    this.#running.delete(lease);
    const { tenantId, ask } = running;
    const subjects = ask.subjects.map((subject) => shareOf(subject, this.processes.count));
    this.#local.settle({ ...ask, subjects, usedTokens });
    if (!this.#redis) return;
    if (this.#alone) return this.#owed.settled(tenantId, ask, usedTokens);
    this.#redis.settle(tenantId, { ...ask, usedTokens }).catch((err: unknown) => this.#goAlone(err));
  }

  /** Tells Redis which requests still run: it takes those of a process that died for ended. */
  async #renew(): Promise<void> {
    if (!this.#redis || this.#alone) return;
    const bySubject = new Map<string, { tenantId: string; subject: Subject; leases: string[] }>();
    for (const [lease, { tenantId, ask }] of this.#running) {
      for (const subject of ask.subjects.filter(({ limits }) => limits.concurrent_requests !== undefined)) {
        const known = bySubject.get(subject.id);
        if (known) known.leases.push(lease);
        else bySubject.set(subject.id, { tenantId, subject, leases: [lease] });
      }
    }
    try {
      const redis = this.#redis;
      const renewals = [...bySubject.values()].map(({ tenantId, subject, leases }) =>
        redis.renew(tenantId, subject, leases),
      );
      await Promise.all(renewals);
    } catch (err) {
      this.#goAlone(err);
    }
  }

  #goAlone(err: unknown): void {
    if (this.#alone || this.#closed) return;
    this.#alone = true;
    this.#metrics.degraded.set(1);
    const share = `1/${this.processes.count}`;
    this.logger.error({ err, share }, 'Redis is away: this process grants its share of each rate limit');
    this.#probeLater();
  }

  #probeLater(): void {
    this.#probe = setTimeout(() => void this.#tryRedis(), PROBE_MS);
    this.#probe.unref();
  }

  /** A write, since a Redis that only reads is none for us. */
  async #tryRedis(): Promise<void> {
    try {
      if (this.connection) await inTime(this.connection.set(PROBE_KEY, '1', 'PX', PROBE_MS));
    } catch {
      if (!this.#closed) this.#probeLater();
      return;
    }
    this.#alone = false;
    this.#metrics.degraded.set(0);
    this.logger.info('Redis is back: rate limits are counted together again');
    await this.#renew();
    await this.#payBack();
  }

  async #payBack(): Promise<void> {
    const charges = this.#owed.take((subject) => this.#local.spent(shareOf(subject, this.processes.count)));
    try {
      const paid = [...charges].map(([tenantId, owed]) => this.#redis?.charge(tenantId, owed));
      await Promise.all(paid);
    } catch (err) {
      this.#goAlone(err);
    }
  }
}

/** Those of the tenant and the key that limit rates. */
function subjectsOf({ tenant, keyId, limits }: Caller): Subject[] {
  const subjects: Subject[] = [
    { id: tenant.id, kind: 'tenant', limits: tenant.quotas },
    { id: keyId, kind: 'key', limits },
  ];
  return subjects.filter(
    ({ limits: { requests_per_minute, tokens_per_minute, concurrent_requests } }) =>
      requests_per_minute !== undefined ||
      tokens_per_minute !== undefined ||
      concurrent_requests !== undefined,
  );
}
