import { Injectable } from '@nestjs/common';
import type { RotateSecret } from '#contracts/hooks-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import type {
  CreatedWebhookEndpoint,
  CreateWebhookEndpoint,
  PatchWebhookEndpoint,
  WebhookEndpointResource,
} from '#contracts/webhook-endpoints-api.js';
import { AppError } from '#runtime/app-error.js';
import { OutboundError } from '#runtime/outbound/outbound-error.js';
import { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { DataSource, type EntityManager } from 'typeorm';
import { pageOf } from '../page-of.js';
import { rotate } from '../secrets/rotation.js';
import { SecretBox } from '../secrets/secret-box.js';
import { makeSecret, newSecrets, overlapEnd } from '../secrets/signing-secret.js';
import { WebhookDelivery } from './webhook-delivery.entity.js';
import { WebhookEndpoint } from './webhook-endpoint.entity.js';

const MAX_ENDPOINTS = 100;

@Injectable()
export class WebhookEndpoints {
  constructor(
    private readonly database: DataSource,
    private readonly box: SecretBox,
    private readonly http: OutboundHttp,
  ) {}

  async create(tenantId: string, body: CreateWebhookEndpoint): Promise<CreatedWebhookEndpoint> {
    checkTarget(this.http, body.url);
    const id = newId();
    const secret = makeSecret();
    const now = new Date();
    const row = Object.assign(new WebhookEndpoint(), {
      id,
      tenantId,
      url: body.url,
      events: body.events,
      description: body.description ?? null,
      enabled: true,
      disabledReason: null,
      failingSince: null,
      secrets: newSecrets(this.box, id, secret),
      createdAt: now,
      updatedAt: now,
    });
    return this.database.transaction(async (manager) => {
      if ((await manager.countBy(WebhookEndpoint, { tenantId })) >= MAX_ENDPOINTS)
        throw new AppError('conflict', {
          message: `A tenant has at most ${MAX_ENDPOINTS} webhook endpoints.`,
        });
      await manager.insert(WebhookEndpoint, row);
      const resource = endpointResource(row);
      await AuditLog.record(manager, { ...auditOf('create', row), after: resource });
      return { ...resource, secret };
    });
  }

  async list(tenantId: string, query: PageQuery): Promise<List<WebhookEndpointResource>> {
    const rows = await pageOf(this.database.getRepository(WebhookEndpoint), { tenantId }, query);
    return listPage(rows.map(endpointResource), query.limit);
  }

  async get(tenantId: string, id: string): Promise<WebhookEndpointResource> {
    return endpointResource(await findEndpoint(this.database.manager, tenantId, id));
  }

  /** Enabling it again forgets why it was disabled. */
  async patch(tenantId: string, id: string, body: PatchWebhookEndpoint): Promise<WebhookEndpointResource> {
    if (body.url !== undefined) checkTarget(this.http, body.url);
    return this.database.transaction(async (manager) => {
      const row = await findEndpoint(manager, tenantId, id, 'pessimistic_write');
      const before = endpointResource(row);
      if (body.url !== undefined) row.url = body.url;
      if (body.events !== undefined) row.events = body.events;
      if (body.description !== undefined) row.description = body.description;
      if (body.enabled !== undefined)
        Object.assign(row, { enabled: body.enabled, disabledReason: null, failingSince: null });
      row.updatedAt = new Date();
      const { url, events, description, enabled, disabledReason, failingSince, updatedAt } = row;
      const fields = { url, events, description, enabled, disabledReason, failingSince, updatedAt };
      await manager.update(WebhookEndpoint, { id, tenantId }, fields);
      const after = endpointResource(row);
      await AuditLog.record(manager, { ...auditOf('update', row), before, after });
      return after;
    });
  }

  async rotate(tenantId: string, id: string, body: RotateSecret): Promise<CreatedWebhookEndpoint> {
    return this.database.transaction(async (manager) => {
      const row = await findEndpoint(manager, tenantId, id, 'pessimistic_write');
      const turn = { owner: id, secrets: row.secrets, overlap_s: body.overlap_seconds };
      const { secret, columns } = rotate(this.box, turn, new Date());
      await manager.update(WebhookEndpoint, { id, tenantId }, { secrets: columns });
      const resource = endpointResource({ ...row, secrets: columns });
      await AuditLog.record(manager, { ...auditOf('rotate', row), after: resource });
      return { ...resource, secret };
    });
  }

  async remove(tenantId: string, id: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      const row = await findEndpoint(manager, tenantId, id, 'pessimistic_write');
      await manager.delete(WebhookDelivery, { targetId: id, tenantId });
      await manager.delete(WebhookEndpoint, { id, tenantId });
      await AuditLog.record(manager, { ...auditOf('delete', row), before: endpointResource(row) });
    });
  }
}

/** Says early what every delivery would fail of; what the name resolves to is judged at each. */
export function checkTarget(http: OutboundHttp, url: string): void {
  try {
    http.check(url);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    throw new AppError('invalid_request', { message: `url: ${error.message}`, param: 'url', cause: error });
  }
}

export async function findEndpoint(
  manager: EntityManager,
  tenantId: string,
  id: string,
  lock?: 'pessimistic_write',
): Promise<WebhookEndpoint> {
  const options = { where: { id, tenantId }, ...(lock ? { lock: { mode: lock } } : {}) };
  const row = isId(id) ? await manager.findOne(WebhookEndpoint, options) : null;
  if (!row) throw new AppError('not_found', { message: 'There is no such webhook endpoint.' });
  return row;
}

export function auditOf(verb: 'create' | 'update' | 'rotate' | 'disable' | 'delete', row: WebhookEndpoint) {
  const subject = { type: 'webhook_endpoint', id: row.id };
  return { tenantId: row.tenantId, action: `webhook_endpoint.${verb}`, subject };
}

export function endpointResource(row: WebhookEndpoint): WebhookEndpointResource {
  return {
    id: row.id,
    object: 'webhook_endpoint',
    url: row.url,
    events: row.events as WebhookEndpointResource['events'],
    description: row.description,
    enabled: row.enabled,
    disabled_reason: row.disabledReason,
    failing_since: row.failingSince?.toISOString() ?? null,
    previous_secret_expires_at: overlapEnd(row.secrets, new Date()),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
