import { Injectable } from '@nestjs/common';
import type { CreatedHook, CreateHook, HookResource, PatchHook, RotateSecret } from '#contracts/hooks-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { DataSource, type EntityManager } from 'typeorm';
import { requireSet } from '../evaluations/evaluation-sets.service.js';
import { pageOf } from '../page-of.js';
import { rotate } from '../secrets/rotation.js';
import { SecretBox } from '../secrets/secret-box.js';
import { makeSecret, newSecrets, overlapEnd } from '../secrets/signing-secret.js';
import { Hook } from './hook.entity.js';
import { HookDelivery } from './hook-delivery.entity.js';

/** `baseUrl` everywhere: where callers reach the API. */
@Injectable()
export class HooksService {
  constructor(
    private readonly database: DataSource,
    private readonly box: SecretBox,
  ) {}

  async create(tenantId: string, body: CreateHook, baseUrl: string): Promise<CreatedHook> {
    const id = newId();
    const secret = makeSecret();
    const hook = Object.assign(new Hook(), {
      id,
      tenantId,
      name: body.name,
      adapter: body.adapter ?? null,
      promote: body.promote ?? null,
      secrets: newSecrets(this.box, id, secret),
      createdAt: new Date(),
    });
    return this.database.transaction(async (manager) => {
      await requireSet(manager, tenantId, hook.promote);
      await manager.insert(Hook, hook);
      const resource = toResource(hook, baseUrl);
      await AuditLog.record(manager, { ...auditOf('create', hook), after: resource });
      return { ...resource, secret };
    });
  }

  async list(tenantId: string, query: PageQuery, baseUrl: string): Promise<List<HookResource>> {
    const rows = await pageOf(this.database.getRepository(Hook), { tenantId }, query);
    return listPage(
      rows.map((row) => toResource(row, baseUrl)),
      query.limit,
    );
  }

  async get(tenantId: string, id: string, baseUrl: string): Promise<HookResource> {
    return toResource(await findHook(this.database.manager, tenantId, id), baseUrl);
  }

  /** What is on its way goes on under the new policy. */
  async patch(tenantId: string, id: string, body: PatchHook, baseUrl: string): Promise<HookResource> {
    return this.database.transaction(async (manager) => {
      const hook = await findHook(manager, tenantId, id, 'pessimistic_write');
      const before = toResource(hook, baseUrl);
      if (body.name !== undefined) hook.name = body.name;
      if (body.adapter !== undefined) hook.adapter = body.adapter;
      if (body.promote !== undefined) hook.promote = body.promote;
      if (body.promote !== undefined) await requireSet(manager, tenantId, body.promote);
      const { name, adapter, promote } = hook;
      await manager.update(Hook, { id, tenantId }, { name, adapter, promote: promote as never });
      const after = toResource(hook, baseUrl);
      await AuditLog.record(manager, { ...auditOf('update', hook), before, after });
      return after;
    });
  }

  async rotate(tenantId: string, id: string, body: RotateSecret, baseUrl: string): Promise<CreatedHook> {
    return this.database.transaction(async (manager) => {
      const hook = await findHook(manager, tenantId, id, 'pessimistic_write');
      const { secrets } = hook;
      const turn = { owner: id, secrets, overlap_s: body.overlap_seconds };
      const { secret, columns } = rotate(this.box, turn, new Date());
      await manager.update(Hook, { id, tenantId }, { secrets: columns });
      const resource = toResource({ ...hook, secrets: columns }, baseUrl);
      await AuditLog.record(manager, { ...auditOf('rotate', hook), after: resource });
      return { ...resource, secret };
    });
  }

  /** Also forgets what was delivered to it; work that it began and that has made a version goes on there. */
  async remove(tenantId: string, id: string, baseUrl: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      const hook = await findHook(manager, tenantId, id, 'pessimistic_write');
      await manager.delete(HookDelivery, { sourceId: id, tenantId });
      await manager.delete(Hook, { id, tenantId });
      await AuditLog.record(manager, { ...auditOf('delete', hook), before: toResource(hook, baseUrl) });
    });
  }
}

export async function findHook(
  manager: EntityManager,
  tenantId: string,
  id: string,
  lock?: 'pessimistic_write',
): Promise<Hook> {
  const where = { id, tenantId };
  const hook = isId(id)
    ? await manager.findOne(Hook, { where, ...(lock ? { lock: { mode: lock } } : {}) })
    : null;
  if (!hook) throw new AppError('not_found', { message: 'There is no such hook.' });
  return hook;
}

function auditOf(verb: 'create' | 'update' | 'rotate' | 'delete', { id, tenantId }: Hook) {
  return { tenantId, action: `hook.${verb}`, subject: { type: 'hook', id } };
}

function toResource({ id, name, adapter, promote, secrets, createdAt }: Hook, baseUrl: string): HookResource {
  return {
    id,
    object: 'hook',
    name,
    url: hookUrl(baseUrl, id),
    adapter,
    promote,
    previous_secret_expires_at: overlapEnd(secrets, new Date()),
    created_at: createdAt.toISOString(),
  };
}

/** Where events for the hook or trainer `id` are posted to. */
export function hookUrl(baseUrl: string, id: string): string {
  return `${baseUrl}/v1/hooks/fine-tune/${id}`;
}
