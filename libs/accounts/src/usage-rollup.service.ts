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

  async #rollUpDay(day: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      await lockDays(manager, [day], 'exclusive');
      await manager.query('DELETE FROM usage_days WHERE day = $1', [day]);
      await manager.query(ROLL_UP, [day]);
      await manager.query('UPDATE usage_rollups SET rolled_at = now() WHERE day = $1', [day]);
    });
  }
}

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
  WHERE minute >= $1::date::timestamp AT TIME ZONE 'UTC'
    AND minute < ($1::date + 1)::timestamp AT TIME ZONE 'UTC'
  GROUP BY tenant_id, key_id, served`;
