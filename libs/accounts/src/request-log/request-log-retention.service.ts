import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

const BATCH = 5_000;

/** Forgets requests as their tenants want it; any number of workers may do it at once. */
@Injectable()
export class RequestLogRetention {
  constructor(private readonly database: DataSource) {}

  /** Returns how many were deleted. */
  async prune(now: Date, signal: AbortSignal): Promise<number> {
    const sql = `DELETE FROM logged_requests WHERE id = ANY(ARRAY(
      SELECT id FROM logged_requests JOIN request_log_settings settings USING (tenant_id)
      WHERE created_at < $1::timestamptz - settings.retention_hours * interval '1 hour' LIMIT ${BATCH}))`;
    let all = 0;
    for (let gone = BATCH; gone === BATCH && !signal.aborted; all += gone) {
      [, gone] = await this.database.query<[rows: unknown[], gone: number]>(sql, [now]);
    }
    return all;
  }
}
