import { Injectable } from '@nestjs/common';
import type { RowStep } from '#stores/history-range.js';
import { DataSource } from 'typeorm';

const BATCH = 10_000;

/** Forgets old figures; any number of workers may do it at once. */
@Injectable()
export class HistoryRetention {
  constructor(private readonly database: DataSource) {}

  /** Deletes the rows of that step from before; returns how many, also of a part where `signal` aborts. */
  async prune(step: RowStep, before: Date, signal: AbortSignal): Promise<number> {
    const sql = `DELETE FROM request_figures WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM request_figures WHERE step = $1 AND at < $2 LIMIT ${BATCH}))`;
    let all = 0;
    for (let gone = BATCH; gone === BATCH && !signal.aborted; all += gone) {
      [, gone] = await this.database.query<[rows: unknown[], gone: number]>(sql, [step, before]);
    }
    return all;
  }
}
