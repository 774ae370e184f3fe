import { Injectable } from '@nestjs/common';
import type { BaseModel } from '#contracts/base-model.js';
import type {
  BaseMoveResource,
  MovedVersion,
  MovedVersionQuery,
  StartBaseMove,
} from '#contracts/base-moves-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { currentRequest } from '#runtime/request-context.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import {
  DataSource,
  type EntityManager,
  type FindOptionsWhere,
  In,
  IsNull,
  LessThan,
  MoreThan,
} from 'typeorm';
import { canonicalJson } from '../peft/canonical-json.js';
import { findAdapter } from '../registry/adapter-rows.js';
import type { TenantName } from '../registry/tenant-names.js';
import { requestSql } from '../revalidation/request-validation.js';
import { Revalidations } from '../revalidation/revalidations.service.js';
import { BaseMove } from './base-move.entity.js';
import { BaseMoveVersion } from './base-move-version.entity.js';
import { finishIfDone, lockMove, UNDECIDED } from './finish-move.js';
import { movedVersions, moveResources } from './move-resources.js';
import { announceMoves } from './moves-channel.js';

/** Of a tenant; older ones go when a new one begins. */
const KEPT_MOVES = 100;
const WRITTEN_TOGETHER = 500;

export interface MoveScope {
  readonly tenant: TenantName;
  readonly base: Pick<BaseModel, 'name' | 'digest'>;
}

/**
 * Brings what a tenant's aliases lead to onto the base that is served now. Each version is validated as by a revalidation,
 * only held back until it is decided whether it shall answer; the worker does that (BaseMoveStates).
 */
@Injectable()
export class BaseMoves {
  constructor(
    private readonly database: DataSource,
    private readonly revalidations: Revalidations,
  ) {}

  /** The same order again, while the move runs, is the same move. Another one is refused until it ends. */
  async start(scope: MoveScope, order: StartBaseMove): Promise<BaseMoveResource> {
    const { tenant, base } = scope;
    const started = await this.database.transaction(async (manager) => {
      if (order.adapter !== undefined) await findAdapter(manager, tenant.id, order.adapter);
      const move = newMove(scope, order);
      const made = await manager
        .createQueryBuilder()
        .insert()
        .into(BaseMove)
        .values(move)
        .orIgnore()
        .returning('id')
        .execute();
      if ((made.raw as unknown[]).length === 0) return sameOrder(manager, move);
      await this.#fill(manager, move);
      await forgetOldest(manager, tenant.id);
      await finishIfDone(manager, move);
      const row = await manager.findOneByOrFail(BaseMove, { id: move.id, tenantId: tenant.id });
      const [resource] = await moveResources(manager, [row]);
      await AuditLog.record(manager, {
        tenantId: tenant.id,
        action: 'base_move.start',
        subject: { type: 'base_move', id: move.id },
        after: resource as object,
      });
      await announceMoves(manager);
      return row;
    });
    await this.revalidations.enqueue(base.digest);
    return this.#resource(started);
  }

  /** Newest first. */
  async list(tenantId: string, query: PageQuery): Promise<List<BaseMoveResource>> {
    const { manager } = this.database;
    const where: FindOptionsWhere<BaseMove> = { tenantId };
    if (query.after !== undefined) where.id = LessThan(idOf(query.after));
    const rows = await manager.find(BaseMove, { where, order: { id: 'DESC' }, take: query.limit + 1 });
    return listPage(await moveResources(manager, rows), query.limit);
  }

  async get(tenantId: string, id: string): Promise<BaseMoveResource> {
    return this.#resource(await findMove(this.database.manager, tenantId, id));
  }

  /** The report, by the names of adapters as they were when the move began. */
  async versions(
    tenantId: string,
    id: string,
    { state, after, limit }: MovedVersionQuery,
  ): Promise<List<MovedVersion>> {
    const { manager } = this.database;
    const move = await findMove(manager, tenantId, id);
    const where: FindOptionsWhere<BaseMoveVersion> = { moveId: move.id, tenantId };
    if (state !== undefined) where.state = state;
    if (after !== undefined) where.id = MoreThan(idOf(after));
    const rows = await manager.find(BaseMoveVersion, { where, order: { id: 'ASC' }, take: limit + 1 });
    return listPage(await movedVersions(manager, move, rows), limit);
  }

  /** What is not decided yet is left; what was promoted stays so. */
  async cancel(tenantId: string, id: string): Promise<BaseMoveResource> {
    const cancelled = await this.database.transaction(async (manager) => {
      const { id: moveId } = await findMove(manager, tenantId, id);
      const where = { id: moveId, tenantId };
      const move = await lockMove(manager, where);
      if (!move || move.finishedAt)
        throw new AppError('conflict', { message: 'The move has ended already.' });
      await manager.query(HOLD_CANCELLED, [
        moveId,
        move.baseDigest,
        `The move ${moveId} was cancelled before it decided on it.`,
      ]);
      const now = new Date();
      const left = { state: 'left' as const, reason: CANCELLED, dueAt: null, leaseId: null, decidedAt: now };
      await manager.update(BaseMoveVersion, { moveId, tenantId, state: In(UNDECIDED) }, left);
      await manager.update(BaseMove, where, { cancelled: true });
      await finishIfDone(manager, move);
      const row = await manager.findOneByOrFail(BaseMove, where);
      const [after] = await moveResources(manager, [row]);
      const subject = { type: 'base_move', id: moveId };
      await AuditLog.record(manager, {
        tenantId,
        action: 'base_move.cancel',
        subject,
        after: after as object,
      });
      return row;
    });
    return this.#resource(cancelled);
  }

  /** Writes down what is to be done, and asks for the validations that it takes. */
  async #fill(manager: EntityManager, move: NewMove): Promise<void> {
    const served = await manager.query<ServedRow[]>(SERVED, [move.tenantId, move.adapter]);
    const rows = served.map((row) => ({
      id: newId(),
      moveId: move.id,
      tenantId: move.tenantId,
      ...row,
      dueAt: new Date(),
    }));
    for (let i = 0; i < rows.length; i += WRITTEN_TOGETHER)
      await manager.insert(BaseMoveVersion, rows.slice(i, i + WRITTEN_TOGETHER));
    await manager.query(REQUEST, [
      move.baseDigest,
      rows.map(({ versionId }) => versionId),
      move.policy.rejected,
      move.baseModel,
      `The move ${move.id} has not decided on it yet.`,
    ]);
  }

  async #resource(move: BaseMove): Promise<BaseMoveResource> {
    const [resource] = await moveResources(this.database.manager, [move]);
    if (!resource) throw new Error('one row gives one resource');
    return resource;
  }
}

const CANCELLED = 'The move was cancelled before it was decided.';

type NewMove = ReturnType<typeof newMove>;
type ServedRow = Pick<BaseMoveVersion, 'versionId' | 'adapter' | 'version' | 'aliases'>;

function newMove({ tenant, base }: MoveScope, { adapter, ...policy }: StartBaseMove) {
  return {
    id: newId(),
    tenantId: tenant.id,
    baseModel: base.name,
    baseDigest: base.digest,
    adapter: adapter ?? null,
    policy,
    createdBy: currentRequest()?.actor ?? { type: 'system' as const, id: 'system' },
  };
}

/** The move of the tenant that runs on that base, when it does what is asked. */
async function sameOrder(manager: EntityManager, { tenantId, baseDigest, adapter, policy }: NewMove) {
  const where = { tenantId, baseDigest, finishedAt: IsNull() };
  const running = await manager.findOneBy(BaseMove, where);
  if (!running) throw new AppError('conflict', { message: 'Another move has just ended; ask again.' });
  const same = running.adapter === adapter && canonicalJson(running.policy) === canonicalJson(policy);
  if (same) return running;
  throw new AppError('conflict', {
    message: `The move ${running.id} runs. Wait for its end, or cancel it (POST /v1/base-moves/${running.id}/cancel).`,
  });
}

async function findMove(manager: EntityManager, tenantId: string, id: string): Promise<BaseMove> {
  const move = isId(id) ? await manager.findOneBy(BaseMove, { id, tenantId }) : null;
  if (!move) throw new AppError('not_found', { message: 'There is no such move.' });
  return move;
}

function idOf(after: string): string {
  if (isId(after)) return after;
  throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
}

async function forgetOldest(manager: EntityManager, tenantId: string): Promise<void> {
  await manager.query(
    `DELETE FROM base_moves WHERE tenant_id = $1 AND finished_at IS NOT NULL AND id NOT IN (
       SELECT id FROM base_moves WHERE tenant_id = $1 ORDER BY id DESC LIMIT ${KEPT_MOVES})`,
    [tenantId],
  );
}

/** Whatever an alias of the tenant $1 (of its adapter $2; null: all) leads to or shadows. */
const SERVED = `
  SELECT version.id AS "versionId", adapter.name AS adapter, version.number AS version,
    array_agg(DISTINCT alias.name ORDER BY alias.name) AS aliases
  FROM adapters adapter
  JOIN aliases alias ON alias.adapter_id = adapter.id
  CROSS JOIN LATERAL (
    SELECT (route->>'version')::integer AS number FROM jsonb_array_elements(alias.routes) AS route
    UNION SELECT (alias.shadow->>'version')::integer) AS led
  JOIN adapter_versions version
    ON version.adapter_id = adapter.id AND version.number = led.number AND version.state = 'ready'
  WHERE adapter.tenant_id = $1 AND ($2::text IS NULL OR adapter.name = $2)
  GROUP BY version.id, adapter.name, version.number ORDER BY adapter.name, version.number`;

const HOLD_CANCELLED = `
  UPDATE version_bases later SET held = $3 FROM base_move_versions moved
  WHERE moved.move_id = $1 AND moved.state IN ('checking', 'evaluating') AND later.version_id = moved.version_id
    AND later.base_digest = $2 AND later.held IS NOT NULL`;

const REQUEST = requestSql(
  `adapter_versions version
   LEFT JOIN version_bases judged ON judged.version_id = version.id AND judged.base_digest = $1
   WHERE version.id = ANY($2::uuid[]) AND version.base_digest <> $1
     AND (judged.state IS NULL OR ($3::boolean AND judged.state = 'rejected'))`,
  { baseModel: '$4', held: '$5' },
);
