import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { SUM_COLUMNS } from './usage-sums.js';

/**
 * Sums up the minutes of each day that is over, so that long ranges are read from few rows. A day is summed anew from
 * all its minutes, so doing it twice changes nothing; a flush that brings a late minute takes its day back, and locks
 * keep the two apart.
 */
@Injectable()
export class UsageRollup {
  constructor(private readonly database: DataSource) {}

  /** Rolls up every day that is over and is not yet; returns those days. Stops between days when `signal` aborts. */
  async rollUp(signal: AbortSignal, now: Date = new Date()): Promise<string[]> {
    const today = now.toISOString().slice(0, 10);
    const rows = (await this.database.query(
      "SELECT to_char(day, 'YYYY-MM-DD') AS day FROM usage_rollups WHERE rolled_at IS NULL AND day < $1 ORDER BY day",
      [today],
    )) as { day: string }[];
    const done: string[] = [];
    for (const { day } of rows) {
      if (signal.aborted) break;
      await this.#rollUpDay(day);
      done.push(day);
    }
    return done;
  }

  /** Deletes the minutes of each rolled-up day that ended before `before`; its sums stay. Returns those days. */
  async prune(before: Date, signal: AbortSignal): Promise<string[]> {
    const rows = (await this.database.query(
      `SELECT to_char(day, 'YYYY-MM-DD') AS day FROM usage_rollups
       WHERE rolled_at IS NOT NULL AND pruned_at IS NULL AND day < $1 ORDER BY day`,
      [before.toISOString().slice(0, 10)],
    )) as { day: string }[];
    const done: string[] = [];
    for (const { day } of rows) {
      if (signal.aborted) break;
      if (await this.#pruneDay(day)) done.push(day);
    }
    return done;
  }

  async #pruneDay(day: string): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      await lockDays(manager, [day], 'exclusive');
      const [, changed] = await manager.query<[rows: unknown[], changed: number]>(
        'UPDATE usage_rollups SET pruned_at = now() WHERE day = $1 AND rolled_at IS NOT NULL AND pruned_at IS NULL',
        [day],
      );
      if (changed === 1) await deleteMinutes(manager, day);
      return changed === 1;
    });
  }

  async #rollUpDay(day: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      await lockDays(manager, [day], 'exclusive');
      const [row] = await manager.query<{ pruned: boolean }[]>(
        'SELECT pruned_at IS NOT NULL AS pruned FROM usage_rollups WHERE day = $1',
        [day],
      );
      if (row?.pruned) {
        // Its other minutes are gone, so a late one is added to what was summed from them.
        await manager.query(`${ROLL_UP} ${ADD}`, [day]);
        await deleteMinutes(manager, day);
      } else {
        await manager.query('DELETE FROM usage_days WHERE day = $1', [day]);
        await manager.query(ROLL_UP, [day]);
      }
      await manager.query('UPDATE usage_rollups SET rolled_at = now() WHERE day = $1', [day]);
    });
  }
}

const PRUNE_BATCH = 10_000;

/** In statements that each take a moment only, whatever the number of rows. */
async function deleteMinutes(manager: EntityManager, day: string): Promise<void> {
  const sql = `DELETE FROM usage_minutes WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM usage_minutes WHERE ${MINUTES_OF_DAY} LIMIT ${PRUNE_BATCH}))`;
  for (let gone = PRUNE_BATCH; gone === PRUNE_BATCH; ) {
    [, gone] = await manager.query<[rows: unknown[], gone: number]>(sql, [day]);
  }
}

const MINUTES_OF_DAY = `minute >= $1::date::timestamp AT TIME ZONE 'UTC'
    AND minute < ($1::date + 1)::timestamp AT TIME ZONE 'UTC'`;

/** Until the transaction ends: flushes (shared) and the rollup (exclusive) of one day exclude each other. */
export async function lockDays(
  manager: EntityManager,
  days: readonly string[],
  mode: 'shared' | 'exclusive',
): Promise<void> {
  const lock = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock';
  for (const day of days)
    await manager.query(`SELECT ${lock}(hashtextextended('usage day ' || $1, 0))`, [day]);
}

const ROLL_UP = `
  INSERT INTO usage_days (tenant_id, day, key_id, served, adapter_id, adapter, version, ${SUM_COLUMNS.join(', ')})
  SELECT tenant_id, $1::date, key_id, served, (array_agg(adapter_id))[1], max(adapter), max(version),
    ${SUM_COLUMNS.map((column) => `sum(${column})`).join(', ')}
  FROM usage_minutes
  WHERE ${MINUTES_OF_DAY}
  GROUP BY tenant_id, key_id, served`;

const ADD = `ON CONFLICT (tenant_id, day, key_id, served) DO UPDATE SET
  ${SUM_COLUMNS.map((column) => `${column} = usage_days.${column} + excluded.${column}`).join(', ')}`;
