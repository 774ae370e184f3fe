import { AppError } from '#runtime/app-error.js';
import { currentRequest } from '#runtime/request-context.js';
import type { EntityManager } from 'typeorm';
import { IdempotencyKey } from './idempotency-key.entity.js';

/**
 * Writes down in the transaction of a change that the request's Idempotency-Key has had this effect. Throws, and so undoes
 * the change, where another run has taken the key over.
 */
export async function markEffect(manager: EntityManager, auditEntryId: string): Promise<void> {
  const run = currentRequest()?.idempotency;
  if (!run) return;
  const fingerprint = await run.fingerprint;
  const marked = await manager
    .createQueryBuilder()
    .update(IdempotencyKey)
    .set({ fingerprint, effects: () => 'array_append(effects, :effect)' })
    .where('id = :id AND holder = :holder', { id: run.id, holder: run.holder })
    .setParameter('effect', auditEntryId)
    .execute();
  if (marked.affected === 0) throw new AppError('idempotency_in_flight');
}
