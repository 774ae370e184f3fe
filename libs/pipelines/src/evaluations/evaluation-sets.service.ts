import { Injectable } from '@nestjs/common';
import type {
  EvaluationSetResource,
  EvaluationSetSummary,
  PutEvaluationSet,
} from '#contracts/evaluation-sets-api.js';
import type { PromotePolicy } from '#contracts/promotion.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import { DataSource, type EntityManager, In } from 'typeorm';
import { Hook } from '../hooks/hook.entity.js';
import { pageOf } from '../page-of.js';
import { EvaluationSet } from './evaluation-set.entity.js';
import { EvaluationSetRevision } from './evaluation-set-revision.entity.js';
import { digestOf } from './set-digest.js';

@Injectable()
export class EvaluationSets {
  constructor(private readonly database: DataSource) {}

  /** Newest first, without the prompts. */
  async list(tenantId: string, query: PageQuery): Promise<List<EvaluationSetSummary>> {
    const { manager } = this.database;
    const rows = await pageOf(this.database.getRepository(EvaluationSet), { tenantId }, query);
    const revisions = await manager.find(EvaluationSetRevision, {
      where: { setId: In(rows.map(({ id }) => id)) },
      order: { revision: 'ASC' },
    });
    const newest = new Map(revisions.map((revision) => [revision.setId, revision]));
    return listPage(
      rows.map((row) => summaryOf(row, newest.get(row.id) as EvaluationSetRevision)),
      query.limit,
    );
  }

  /** With the prompts of a revision; by default the newest. */
  get(tenantId: string, name: string, revision?: number): Promise<EvaluationSetResource> {
    return readSet(this.database.manager, tenantId, name, revision);
  }

  /** Throws invalid_request, which names the field `param`, when there is none of that name. */
  require(tenantId: string, name: string, param: string): Promise<void> {
    return requireNamed(this.database.manager, tenantId, { name, param });
  }

  /** Makes a set, or gives it other prompts; the same prompts again change nothing. */
  async put(
    tenantId: string,
    name: string,
    { description, prompts }: PutEvaluationSet,
  ): Promise<EvaluationSetResource> {
    return this.database.transaction(async (manager) => {
      const fresh = { id: newId(), tenantId, name, description: description ?? null, revision: 0 };
      await manager.createQueryBuilder().insert().into(EvaluationSet).values(fresh).orIgnore().execute();
      const row = await manager.findOneOrFail(EvaluationSet, {
        where: { tenantId, name },
        lock: { mode: 'pessimistic_write' },
      });
      const before = row.revision === 0 ? undefined : await readSet(manager, tenantId, name);
      const digest = digestOf(prompts);
      const same = before?.digest === digest;
      const revision = same ? row.revision : row.revision + 1;
      if (!same) await manager.insert(EvaluationSetRevision, { setId: row.id, revision, digest, prompts });
      const shown = description === undefined ? row.description : description;
      await manager.update(
        EvaluationSet,
        { id: row.id, tenantId },
        { revision, description: shown as never, updatedAt: new Date() },
      );
      const after = await readSet(manager, tenantId, name);
      await AuditLog.record(manager, {
        ...auditOf(before ? 'update' : 'create', tenantId, row.id),
        ...(before ? { before: withoutPrompts(before) } : {}),
        after: withoutPrompts(after),
      });
      return after;
    });
  }

  /** Refused while a hook's policy names it. */
  async remove(tenantId: string, name: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      const before = await readSet(manager, tenantId, name);
      const hooks = await manager
        .createQueryBuilder(Hook, 'hook')
        .where("hook.tenant_id = :tenantId AND hook.promote -> 'evaluate' ->> 'set' = :name", {
          tenantId,
          name,
        })
        .getMany();
      if (hooks.length > 0)
        throw new AppError('conflict', {
          message: `The hooks ${hooks.map((hook) => hook.name).join(', ')} promote by this evaluation set.`,
        });
      await manager.delete(EvaluationSet, { id: before.id, tenantId });
      await AuditLog.record(manager, {
        ...auditOf('delete', tenantId, before.id),
        before: withoutPrompts(before),
      });
    });
  }
}

/** Throws invalid_request when a policy names a set that is not there. */
export async function requireSet(
  manager: EntityManager,
  tenantId: string,
  promote: PromotePolicy | null | undefined,
): Promise<void> {
  const name = promote?.evaluate?.set;
  if (name !== undefined) await requireNamed(manager, tenantId, { name, param: 'promote.evaluate.set' });
}

async function requireNamed(
  manager: EntityManager,
  tenantId: string,
  { name, param }: { readonly name: string; readonly param: string },
): Promise<void> {
  if (await manager.existsBy(EvaluationSet, { tenantId, name })) return;
  throw new AppError('invalid_request', { message: `There is no evaluation set ${name}.`, param });
}

export async function readSet(
  manager: EntityManager,
  tenantId: string,
  name: string,
  number?: number,
): Promise<EvaluationSetResource> {
  const row = await manager.findOneBy(EvaluationSet, { tenantId, name });
  const revision =
    row &&
    (await manager.findOneBy(EvaluationSetRevision, { setId: row.id, revision: number ?? row.revision }));
  if (!row || !revision) {
    const what = row ? 'revision of this evaluation set' : 'evaluation set';
    throw new AppError('not_found', { message: `There is no such ${what}.` });
  }
  return { ...summaryOf(row, revision), prompts: revision.prompts };
}

function summaryOf(
  row: EvaluationSet,
  { revision, digest, prompts }: EvaluationSetRevision,
): EvaluationSetSummary {
  return {
    id: row.id,
    object: 'evaluation_set',
    name: row.name,
    description: row.description,
    revision,
    digest,
    prompt_count: prompts.length,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

function withoutPrompts({ prompts: _, ...summary }: EvaluationSetResource): EvaluationSetSummary {
  return summary;
}

function auditOf(verb: 'create' | 'update' | 'delete', tenantId: string, id: string) {
  return { tenantId, action: `evaluation_set.${verb}`, subject: { type: 'evaluation_set', id } };
}
