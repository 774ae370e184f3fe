import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface MinuteTotals {
  readonly minute: string;
  readonly requests: number;
  readonly errors: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
}

export interface MinuteRate {
  readonly requests_per_minute: number;
  readonly tokens_per_minute: number;
}

/** Tenants and usage in all; for operators. */
@Injectable()
export class AccountTotalsService {
  constructor(private readonly database: DataSource) {}

  async tenants(): Promise<{ active: number; suspended: number }> {
    const rows = (await this.database.query(
      'SELECT state, count(*)::float8 AS count FROM tenants GROUP BY state',
    )) as { state: string; count: number }[];
    const of = (state: string): number => rows.find((row) => row.state === state)?.count ?? 0;
    return { active: of('active'), suspended: of('suspended') };
  }

  /** What each of these tenants used in the last whole minute. */
  async lastMinute(tenantIds: readonly string[]): Promise<ReadonlyMap<string, MinuteRate>> {
    const rows = (await this.database.query(
      `SELECT tenant_id AS id, sum(requests)::float8 AS requests_per_minute,
         sum(prompt_tokens + completion_tokens)::float8 AS tokens_per_minute
       FROM usage_minutes
       WHERE tenant_id = ANY ($1::uuid[]) AND minute = date_trunc('minute', now()) - interval '1 minute'
       GROUP BY tenant_id`,
      [tenantIds],
    )) as (MinuteRate & { id: string })[];
    return new Map(rows.map(({ id, ...rate }) => [id, rate]));
  }

  /** Minutes of the last hour in which there was a request, oldest first. */
  async lastHour(): Promise<MinuteTotals[]> {
    const rows = (await this.database.query(
      `SELECT minute, sum(requests)::float8 AS requests, sum(errors)::float8 AS errors,
         sum(prompt_tokens)::float8 AS prompt_tokens, sum(cached_tokens)::float8 AS cached_tokens,
         sum(completion_tokens)::float8 AS completion_tokens
       FROM usage_minutes WHERE minute > now() - interval '1 hour' GROUP BY minute ORDER BY minute`,
    )) as (Omit<MinuteTotals, 'minute'> & { minute: Date })[];
    return rows.map(({ minute, ...sums }) => ({ ...sums, minute: minute.toISOString() }));
  }
}
