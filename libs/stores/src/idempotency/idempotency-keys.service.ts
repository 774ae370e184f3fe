import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, LessThan } from 'typeorm';
import { AuditEntry } from '../audit/audit-entry.entity.js';
import { newId } from '../ids.js';
import { IdempotencyKey } from './idempotency-key.entity.js';
import { LEASE_S } from './lease-times.js';

export interface KeyName {
  readonly owner: string;
  readonly key: string;
}

/** The right to change something for a key, which one run has at a time. */
export interface Hold {
  readonly id: string;
  readonly holder: string;
}

export type Claim =
  | { readonly kind: 'held'; readonly hold: Hold }
  /** Another request came with the key before. */
  | { readonly kind: 'known'; readonly row: IdempotencyKey; readonly running: boolean };

/** How a run has ended. */
export interface RunEnd {
  readonly fingerprint: string;
  readonly status: number;
  readonly answer: string | null;
}

const KEPT_HOURS = 24;
const EXPIRES = `now() + interval '${KEPT_HOURS} hours'`;
const HELD = `now() + interval '${LEASE_S} seconds'`;
/** Each further look happens only where another run began or ended meanwhile. */
const MOST_LOOKS = 5;

/** Which requests with an Idempotency-Key were made. The database's clock decides what has expired. */
@Injectable()
export class IdempotencyKeys {
  constructor(private readonly database: DataSource) {}

  /** Holds the key for a new run, unless one holds it or it has been used. */
  async claim({ owner, key }: KeyName, fingerprint: string | null): Promise<Claim> {
    const hold = { id: newId(), holder: randomUUID() };
    let known: Known | undefined;
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const made = await this.database.query<object[]>(
        `INSERT INTO idempotency_keys (id, owner, key, fingerprint, holder, held_until, expires_at)
         VALUES ($1, $2, $3, $4, $5, ${HELD}, ${EXPIRES}) ON CONFLICT (owner, key) DO NOTHING RETURNING id`,
        [hold.id, owner, key, fingerprint, hold.holder],
      );
      if (made.length > 0) return { kind: 'held', hold };
      known = await this.#find({ owner, key });
      if (!known) continue;
      const { row, expired, abandoned } = known;
      if (!expired && !abandoned) return { kind: 'known', row, running: known.running };
      if (!expired && row.fingerprint !== null && fingerprint !== null && row.fingerprint !== fingerprint)
        return { kind: 'known', row, running: false };
      const taken = { id: row.id, holder: hold.holder };
      if (await this.#takeOver(taken, fingerprint)) return { kind: 'held', hold: taken };
    }
    if (!known) throw new Error('an idempotency key was made and forgotten all the time');
    return { kind: 'known', row: known.row, running: true };
  }

  async #find(name: KeyName): Promise<Known | undefined> {
    const { entities, raw } = await this.database
      .getRepository(IdempotencyKey)
      .createQueryBuilder('k')
      .addSelect('k.expires_at <= now()', 'expired')
      .addSelect("k.status IS NULL AND k.effects = '{}' AND k.held_until <= now()", 'abandoned')
      .addSelect('k.status IS NULL AND k.held_until > now()', 'running')
      .where(name)
      .getRawAndEntities<Omit<Known, 'row'>>();
    const [row] = entities;
    const [state] = raw;
    return (
      row && state && { row, expired: state.expired, abandoned: state.abandoned, running: state.running }
    );
  }

  async #takeOver({ id, holder }: Hold, fingerprint: string | null): Promise<boolean> {
    const [, taken] = await this.database.query<[unknown, number]>(
      `UPDATE idempotency_keys SET fingerprint = $3, holder = $2, held_until = ${HELD}, effects = '{}', status = NULL,
         answer = NULL, expires_at = ${EXPIRES}
       WHERE id = $1 AND (expires_at <= now() OR status IS NULL AND effects = '{}' AND held_until <= now())`,
      [id, holder, fingerprint],
    );
    return taken > 0;
  }

  /** Says that these runs go on. */
  async renew(holds: readonly Hold[]): Promise<void> {
    await this.database.query(
      `UPDATE idempotency_keys SET held_until = ${HELD}
       WHERE id = ANY($1::uuid[]) AND holder = ANY($2::uuid[]) AND status IS NULL`,
      [holds.map(({ id }) => id), holds.map(({ holder }) => holder)],
    );
  }

  /** Keeps the answer of a run. With `effective`, only if the run has changed something; else the key is free again. */
  async end({ id, holder }: Hold, end: RunEnd, effective: boolean): Promise<void> {
    const condition = effective ? " AND effects <> '{}'" : '';
    await this.database.query(
      `UPDATE idempotency_keys SET fingerprint = $3, status = $4, answer = $5
       WHERE id = $1 AND holder = $2${condition}`,
      [id, holder, end.fingerprint, end.status, end.answer],
    );
    if (effective) await this.#free({ id, holder });
  }

  /** Ends a run whose answer says nothing of what it did: what it changed stays known. */
  async leave(hold: Hold): Promise<void> {
    await this.#free(hold);
    await this.database.query(
      'UPDATE idempotency_keys SET held_until = now() WHERE id = $1 AND holder = $2 AND status IS NULL',
      [hold.id, hold.holder],
    );
  }

  async #free({ id, holder }: Hold): Promise<void> {
    await this.database.query(
      "DELETE FROM idempotency_keys WHERE id = $1 AND holder = $2 AND status IS NULL AND effects = '{}'",
      [id, holder],
    );
  }

  /** The last thing that was done for the key; undefined when the audit log has forgotten it. */
  async lastEffect({ effects }: IdempotencyKey): Promise<AuditEntry | undefined> {
    const id = effects.at(-1);
    if (id === undefined) return undefined;
    return (await this.database.getRepository(AuditEntry).findOneBy({ id })) ?? undefined;
  }

  /** Deletes what has expired. */
  async prune(now: Date): Promise<number> {
    const { affected } = await this.database
      .getRepository(IdempotencyKey)
      .delete({ expiresAt: LessThan(now) });
    return affected ?? 0;
  }
}

interface Known {
  readonly row: IdempotencyKey;
  readonly expired: boolean;
  /** Its run ended without an answer and changed nothing. */
  readonly abandoned: boolean;
  readonly running: boolean;
}
