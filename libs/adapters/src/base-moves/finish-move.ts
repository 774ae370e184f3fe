import type { MovedVersionState } from '#contracts/base-moves-api.js';
import { addEvent } from '#stores/outbox/outbox.service.js';
import { type EntityManager, In } from 'typeorm';
import { BaseMove } from './base-move.entity.js';
import { BaseMoveVersion } from './base-move-version.entity.js';
import { moveResources } from './move-resources.js';

export const UNDECIDED: readonly MovedVersionState[] = ['checking', 'evaluating'];

type MoveKey = Pick<BaseMove, 'id' | 'tenantId'>;

/** Held before any of its versions is written: whoever decides on one of the last two waits for the other. */
export function lockMove(manager: EntityManager, { id, tenantId }: MoveKey): Promise<BaseMove | null> {
  return manager.findOne(BaseMove, { where: { id, tenantId }, lock: { mode: 'pessimistic_write' } });
}

/** Ends a move with the last of its versions, and tells of it. */
export async function finishIfDone(manager: EntityManager, { id, tenantId }: MoveKey): Promise<void> {
  const move = await lockMove(manager, { id, tenantId });
  if (!move || move.finishedAt) return;
  if (await manager.existsBy(BaseMoveVersion, { moveId: id, tenantId, state: In(UNDECIDED) })) return;
  move.finishedAt = new Date();
  await manager.update(BaseMove, { id, tenantId }, { finishedAt: move.finishedAt });
  const [payload] = await moveResources(manager, [move]);
  await addEvent(manager, { tenantId, type: 'base_move.finished', payload: payload as object });
}
