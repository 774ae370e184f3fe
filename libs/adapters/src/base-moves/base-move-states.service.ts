import { Injectable } from '@nestjs/common';
import type { MoveEvaluation } from '#contracts/base-moves-api.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { addEvent } from '#stores/outbox/outbox.service.js';
import { DataSource, type EntityManager, In, IsNull, Not } from 'typeorm';
import { publishChange } from '../registry/adapter-changes.js';
import { lockAdapter } from '../registry/adapter-rows.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { readVersionResource } from '../registry/version-resources.js';
import { VersionBase } from '../revalidation/version-base.entity.js';
import { BaseMove } from './base-move.entity.js';
import { BaseMoveVersion } from './base-move-version.entity.js';
import { finishIfDone, lockMove, UNDECIDED } from './finish-move.js';

/** A version of a move, held by a lease of its row. */
interface MoveLease {
  readonly id: string;
  readonly leaseId: string;
}

export interface MoveCase {
  readonly row: BaseMoveVersion;
  readonly move: BaseMove;
  /** `gone`: the version was deleted. `answers`: nothing holds it back on the base. */
  readonly check:
    | { readonly state: 'gone' | 'waiting' | 'answers' | 'held' }
    | { readonly state: 'rejected'; readonly reason: string };
}

export interface MoveDecision {
  readonly state: 'promoted' | 'left' | 'unchanged';
  readonly reason: string;
  readonly evaluation?: MoveEvaluation | undefined;
}

/** The worker's side of a move: `checking -> evaluating -> promoted | left | unchanged`, each step in one transaction. */
@Injectable()
export class BaseMoveStates {
  constructor(private readonly database: DataSource) {}

  /** What is held by the lease; undefined when it was decided, or cancelled, meanwhile. */
  async look({ id, leaseId }: MoveLease): Promise<MoveCase | undefined> {
    const { manager } = this.database;
    const where = { id, leaseId, state: In(UNDECIDED) };
    const row = await manager.findOne(BaseMoveVersion, { where, relations: { move: true } });
    if (!row?.move) return undefined;
    return { row, move: row.move, check: await checkOf(manager, row, row.move) };
  }

  /** Goes on later; the lease ends. */
  async later(
    { row }: MoveCase,
    change: { readonly dueAt: Date; readonly state?: 'evaluating'; readonly faults?: number },
  ): Promise<void> {
    const where = { id: row.id, tenantId: row.tenantId, leaseId: row.leaseId as string };
    await this.database.manager.update(BaseMoveVersion, where, { ...change, leaseId: null });
  }

  /** Lets the version answer on the base, or tells why it does not. False when the lease was lost. */
  async decide({ row, move }: MoveCase, { state, reason, evaluation }: MoveDecision): Promise<boolean> {
    const { tenantId, versionId } = row;
    return this.database.transaction(async (manager) => {
      // First, as everyone who changes an adapter does.
      const adapter = await lockAdapter(manager, tenantId, row.adapter).catch(() => undefined);
      if (!(await lockMove(manager, move))) return false;
      const fields = { state, reason, evaluation: evaluation ?? null, decidedAt: new Date(), dueAt: null };
      const where = { id: row.id, tenantId, leaseId: row.leaseId as string, state: In(UNDECIDED) };
      const { affected } = await manager.update(BaseMoveVersion, where, {
        ...fields,
        leaseId: null,
      } as never);
      if (affected !== 1) return false;
      const version = adapter && (await manager.findOneBy(AdapterVersion, { id: versionId, tenantId }));
      if (version && state !== 'unchanged')
        await this.#tell(manager, { row, move, version }, { state, reason });
      await finishIfDone(manager, move);
      return true;
    });
  }

  /** Makes due now whatever waits for that version; false when nothing does. */
  async hasten(versionId: string): Promise<boolean> {
    const { affected } = await this.database
      .createQueryBuilder()
      .update(BaseMoveVersion)
      .set({ dueAt: new Date() })
      .where('version_id = :versionId AND due_at IS NOT NULL AND lease_id IS NULL', { versionId })
      .execute();
    return (affected ?? 0) > 0;
  }

  async #tell(
    manager: EntityManager,
    { row, move, version }: { row: BaseMoveVersion; move: BaseMove; version: AdapterVersion },
    { state, reason }: Pick<MoveDecision, 'state' | 'reason'>,
  ): Promise<void> {
    const { tenantId, id: versionId } = version;
    const held = state === 'promoted' ? null : `The move ${move.id} left it: ${reason}`;
    const where = { versionId, tenantId, baseDigest: move.baseDigest, held: Not(IsNull()) };
    const { affected } = await manager.update(VersionBase, where, { held });
    await AuditLog.record(manager, {
      tenantId,
      action: state === 'promoted' ? 'base_move.promote' : 'base_move.leave',
      subject: { type: 'adapter.version', id: versionId },
      after: { base_move: move.id, base_digest: move.baseDigest, reason },
    });
    if (affected !== 1) return;
    const payload = await readVersionResource(manager, row.adapter, version);
    await addEvent(manager, { tenantId, type: 'adapter.version.revalidated', payload });
    await publishChange(manager, { tenant: tenantId, adapter: row.adapter, version: versionId });
  }
}

async function checkOf(
  manager: EntityManager,
  { tenantId, versionId }: BaseMoveVersion,
  { baseDigest }: BaseMove,
): Promise<MoveCase['check']> {
  const version = await manager.findOneBy(AdapterVersion, { id: versionId, tenantId });
  if (!version) return { state: 'gone' };
  if (version.baseDigest === baseDigest) return { state: 'answers' };
  const judged = await manager.findOneBy(VersionBase, { versionId, tenantId, baseDigest });
  if (!judged) return { state: 'gone' };
  if (judged.state === 'ready') return { state: judged.held === null ? 'answers' : 'held' };
  if (judged.state !== 'rejected') return { state: 'waiting' };
  const report = judged.report as { readonly errors: readonly { readonly message: string }[] } | null;
  return { state: 'rejected', reason: report?.errors[0]?.message ?? judged.failure ?? 'see its report' };
}
