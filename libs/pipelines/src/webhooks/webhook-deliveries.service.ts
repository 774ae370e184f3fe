import { Injectable } from '@nestjs/common';
import { type List, listPage } from '#contracts/resource.js';
import type {
  WebhookDeliveryDetail,
  WebhookDeliveryQuery,
  WebhookDeliveryResource,
} from '#contracts/webhook-endpoints-api.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId } from '#stores/ids.js';
import { DataSource, type EntityManager } from 'typeorm';
import { pageOf } from '../page-of.js';
import { WebhookAttempt } from './webhook-attempt.entity.js';
import { WebhookDelivery, webhookIdOf } from './webhook-delivery.entity.js';
import { findEndpoint } from './webhook-endpoints.service.js';
import { announceDue } from './webhooks-channel.js';

const SHOWN_ATTEMPTS = 100;

/** The log of what an endpoint was told, and telling it again. */
@Injectable()
export class WebhookDeliveries {
  constructor(private readonly database: DataSource) {}

  async list(
    tenantId: string,
    endpointId: string,
    { state, ...query }: WebhookDeliveryQuery,
  ): Promise<List<WebhookDeliveryResource>> {
    const { id: targetId } = await findEndpoint(this.database.manager, tenantId, endpointId);
    const where = { tenantId, targetId, ...(state ? { state } : {}) };
    const rows = await pageOf(this.database.getRepository(WebhookDelivery), where, query);
    return listPage(rows.map(toResource), query.limit);
  }

  async get(tenantId: string, endpointId: string, id: string): Promise<WebhookDeliveryDetail> {
    const { manager } = this.database;
    const endpoint = await findEndpoint(manager, tenantId, endpointId);
    const row = await find(manager, { tenantId, targetId: endpoint.id, id });
    const attempts = await manager.find(WebhookAttempt, {
      where: { deliveryId: row.id, tenantId },
      order: { number: 'DESC' },
      take: SHOWN_ATTEMPTS,
    });
    return {
      ...toResource(row),
      payload: JSON.parse(row.body) as Record<string, unknown>,
      attempt_log: attempts.map(({ number, at, duration_ms, status, error, responseExcerpt }) => ({
        number,
        at: at.toISOString(),
        duration_ms,
        status,
        error,
        response_excerpt: responseExcerpt,
      })),
    };
  }

  /** Sends it now, under the same `webhook-id`, and goes through the schedule again where that fails. */
  async replay(tenantId: string, endpointId: string, id: string): Promise<WebhookDeliveryResource> {
    return this.database.transaction(async (manager) => {
      const endpoint = await findEndpoint(manager, tenantId, endpointId);
      if (!endpoint.enabled)
        throw new AppError('conflict', { message: 'The endpoint is disabled; enable it first.' });
      const row = await find(manager, { tenantId, targetId: endpoint.id, id }, 'pessimistic_write');
      // Whoever holds its lease loses it, and what that attempt comes to is not written.
      const fields = {
        state: 'pending' as const,
        tries: 0,
        leaseId: null,
        dueAt: new Date(),
        finishedAt: null,
      };
      await manager.update(WebhookDelivery, { id: row.id, tenantId }, fields);
      await AuditLog.record(manager, {
        tenantId,
        action: 'webhook_delivery.replay',
        subject: { type: 'webhook_delivery', id: row.id },
      });
      await announceDue(manager);
      return toResource({ ...row, ...fields });
    });
  }
}

async function find(
  manager: EntityManager,
  { id, tenantId, targetId }: { id: string; tenantId: string; targetId: string },
  lock?: 'pessimistic_write',
): Promise<WebhookDelivery> {
  const options = { where: { id, tenantId, targetId }, ...(lock ? { lock: { mode: lock } } : {}) };
  const row = isId(id) ? await manager.findOne(WebhookDelivery, options) : null;
  if (!row) throw new AppError('not_found', { message: 'There is no such delivery.' });
  return row;
}

function toResource(row: WebhookDelivery): WebhookDeliveryResource {
  return {
    id: row.id,
    object: 'webhook_delivery',
    endpoint: row.targetId,
    webhook_id: webhookIdOf(row.eventId),
    type: row.type,
    state: row.state,
    attempts: row.attempts,
    last_status: row.lastStatus,
    last_error: row.lastError,
    next_attempt_at: row.dueAt?.toISOString() ?? null,
    created_at: row.createdAt.toISOString(),
    finished_at: row.finishedAt?.toISOString() ?? null,
  };
}
