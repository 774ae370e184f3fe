import { Injectable } from '@nestjs/common';
import type {
  HookOverview,
  HooksQuery,
  WebhookOverview,
  WebhooksQuery,
} from '#contracts/operator-lists-api.js';
import { type List, listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { isId } from '#stores/ids.js';
import { DataSource } from 'typeorm';

/** Deliveries that are looked at for each line: a walk along the index, however many there are. */
const RECENT = 100;

const PAGE = `($1::uuid IS NULL OR own.id < $1) AND ($2::text IS NULL OR tenants.name = $2 OR tenants.id::text = $2)`;

const WEBHOOKS = `
  SELECT own.id, tenants.name AS tenant, own.url, own.events, own.enabled, own.disabled_reason,
    own.failing_since, recent.counts AS recent, last.delivery AS last_delivery
  FROM webhook_endpoints own JOIN tenants ON tenants.id = own.tenant_id
  CROSS JOIN LATERAL (
    SELECT json_build_object(
      'pending', count(*) FILTER (WHERE state = 'pending'),
      'succeeded', count(*) FILTER (WHERE state = 'succeeded'),
      'failed', count(*) FILTER (WHERE state = 'failed')) AS counts
    FROM (SELECT state FROM webhook_deliveries WHERE target_id = own.id ORDER BY id DESC LIMIT ${RECENT}) found
  ) recent
  LEFT JOIN LATERAL (
    SELECT json_build_object('id', id, 'type', type, 'state', state, 'status', last_status, 'error', last_error,
      'created_at', created_at) AS delivery
    FROM webhook_deliveries WHERE target_id = own.id ORDER BY id DESC LIMIT 1
  ) last ON true
  WHERE ${PAGE} AND (NOT $4::boolean OR NOT own.enabled OR own.failing_since IS NOT NULL)
  ORDER BY own.id DESC LIMIT $3`;

const HOOKS = `
  SELECT own.id, tenants.name AS tenant, own.name, own.adapter, recent.counts AS recent,
    last.delivery AS last_delivery
  FROM hooks own JOIN tenants ON tenants.id = own.tenant_id
  CROSS JOIN LATERAL (
    SELECT json_build_object(
      'open', count(*) FILTER (WHERE finished_at IS NULL),
      'done', count(*) FILTER (WHERE finished_at IS NOT NULL AND state <> 'failed'),
      'failed', count(*) FILTER (WHERE state = 'failed')) AS counts
    FROM (SELECT state, finished_at FROM hook_deliveries WHERE source_id = own.id ORDER BY id DESC LIMIT ${RECENT}) found
  ) recent
  LEFT JOIN LATERAL (
    SELECT json_build_object('id', id, 'type', type, 'state', state, 'adapter', adapter, 'version', version,
      'reason', reason, 'created_at', created_at) AS delivery
    FROM hook_deliveries WHERE source_id = own.id ORDER BY id DESC LIMIT 1
  ) last ON true
  WHERE ${PAGE}
  ORDER BY own.id DESC LIMIT $3`;

/** Receivers and pipelines of all tenants and how their last deliveries went; for operators. */
@Injectable()
export class PipelinesOverview {
  constructor(private readonly database: DataSource) {}

  async webhooks({ limit, after, tenant, failing }: WebhooksQuery): Promise<List<WebhookOverview>> {
    const only = failing === 'true' || failing === '';
    const values = [cursor(after), tenant ?? null, limit + 1, only];
    const rows = (await this.database.query(WEBHOOKS, values)) as Row<WebhookOverview>[];
    const resources = rows.map((row) => ({
      ...row,
      object: 'webhook_endpoint.overview' as const,
      failing_since: row.failing_since?.toISOString() ?? null,
      last_delivery: inUtc(row.last_delivery),
    }));
    return listPage(resources, limit);
  }

  async hooks({ limit, after, tenant }: HooksQuery): Promise<List<HookOverview>> {
    const rows = (await this.database.query(HOOKS, [
      cursor(after),
      tenant ?? null,
      limit + 1,
    ])) as Row<HookOverview>[];
    const resources = rows.map((row) => ({
      ...row,
      object: 'hook.overview' as const,
      last_delivery: inUtc(row.last_delivery),
    }));
    return listPage(resources, limit);
  }
}

/** As the driver gives it: times of columns as Date, those within JSON with PostgreSQL's own offset. */
type Row<T> = Omit<T, 'object' | 'failing_since'> & { readonly failing_since?: Date | null };

function inUtc<T extends { readonly created_at: string }>(delivery: T | null): T | null {
  return delivery && { ...delivery, created_at: new Date(delivery.created_at).toISOString() };
}

function cursor(after: string | undefined): string | null {
  if (after === undefined || isId(after)) return after ?? null;
  throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
}
