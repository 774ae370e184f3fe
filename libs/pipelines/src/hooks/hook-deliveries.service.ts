import { Injectable } from '@nestjs/common';
import type { HookDelivery as HookDeliveryResource } from '#contracts/hooks-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { isId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { pageOf } from '../page-of.js';
import { HookDelivery } from './hook-delivery.entity.js';
import { findHook } from './hooks.service.js';

/** What was posted to a hook. */
@Injectable()
export class HookDeliveries {
  constructor(private readonly database: DataSource) {}

  async list(tenantId: string, hookId: string, query: PageQuery): Promise<List<HookDeliveryResource>> {
    const hook = await findHook(this.database.manager, tenantId, hookId);
    const deliveries = this.database.getRepository(HookDelivery);
    const rows = await pageOf(deliveries, { tenantId, sourceId: hook.id }, query);
    return listPage(rows.map(deliveryResource), query.limit);
  }

  async get(tenantId: string, hookId: string, id: string): Promise<HookDeliveryResource> {
    const hook = await findHook(this.database.manager, tenantId, hookId);
    const where = { id, tenantId, sourceId: hook.id };
    const row = isId(id) ? await this.database.getRepository(HookDelivery).findOne({ where }) : null;
    if (!row) throw new AppError('not_found', { message: 'There is no such delivery.' });
    return deliveryResource(row);
  }
}

export function deliveryResource(row: HookDelivery): HookDeliveryResource {
  return {
    id: row.id,
    object: 'hook.delivery',
    hook: row.sourceId,
    webhook_id: row.webhookId,
    type: row.type,
    state: row.state,
    job_id: row.jobId,
    adapter: row.adapter,
    version: row.version,
    promotion: row.promotion,
    reason: row.reason,
    data: row.data,
    created_at: row.createdAt.toISOString(),
    finished_at: row.finishedAt?.toISOString() ?? null,
  };
}
