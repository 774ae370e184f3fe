import type { BaseMoveResource, MovedVersion, MovedVersionState } from '#contracts/base-moves-api.js';
import type { VersionBaseState } from '#contracts/revalidation-api.js';
import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { EntityManager } from 'typeorm';
import type { BaseMove } from './base-move.entity.js';
import type { BaseMoveVersion } from './base-move-version.entity.js';

/** What of a version's verdict on the move's base the report shows. */
interface CheckRow {
  readonly versionId: string;
  readonly state: VersionBaseState;
  readonly error: Pick<AdapterProblem, 'code' | 'message'> | null;
  readonly parity: boolean | null;
  readonly failure: string | null;
}

const CHECKS = `
  SELECT version_id AS "versionId", state, failure, (parity->>'passed')::boolean AS parity,
    CASE WHEN report->'errors'->0 IS NULL THEN NULL ELSE jsonb_build_object(
      'code', report->'errors'->0->'code', 'message', report->'errors'->0->'message') END AS error
  FROM version_bases WHERE tenant_id = $1 AND base_digest = $2 AND version_id = ANY($3)`;

/** The moves with how many of their versions are in which state. */
export async function moveResources(
  manager: EntityManager,
  moves: readonly BaseMove[],
): Promise<BaseMoveResource[]> {
  const rows = await manager.query<{ moveId: string; state: MovedVersionState; count: number }[]>(
    `SELECT move_id AS "moveId", state, count(*)::integer AS count FROM base_move_versions
     WHERE move_id = ANY($1) GROUP BY move_id, state`,
    [moves.map(({ id }) => id)],
  );
  return moves.map((move) => {
    const counts = { checking: 0, evaluating: 0, promoted: 0, left: 0, unchanged: 0 };
    for (const { moveId, state, count } of rows) if (moveId === move.id) counts[state] = count;
    return moveResource(move, counts);
  });
}

function moveResource(row: BaseMove, counts: BaseMoveResource['counts']): BaseMoveResource {
  return {
    id: row.id,
    object: 'base_move',
    base_model: row.baseModel,
    base_digest: row.baseDigest,
    adapter: row.adapter,
    policy: row.policy,
    state: row.cancelled ? 'cancelled' : row.finishedAt ? 'finished' : 'running',
    counts,
    created_at: row.createdAt.toISOString(),
    finished_at: row.finishedAt?.toISOString() ?? null,
  };
}

/** Lines of a move's report. */
export async function movedVersions(
  manager: EntityManager,
  move: BaseMove,
  rows: readonly BaseMoveVersion[],
): Promise<MovedVersion[]> {
  const ids = rows.map(({ versionId }) => versionId);
  const checks = await manager.query<CheckRow[]>(CHECKS, [move.tenantId, move.baseDigest, ids]);
  const checkOf = new Map(checks.map(({ versionId, ...check }) => [versionId, check]));
  return rows.map((row) => ({
    id: row.id,
    object: 'base_move.version',
    adapter: row.adapter,
    version: row.version,
    aliases: row.aliases,
    state: row.state,
    reason: row.reason,
    check: checkOf.get(row.versionId) ?? null,
    evaluation: row.evaluation,
    decided_at: row.decidedAt?.toISOString() ?? null,
  }));
}
