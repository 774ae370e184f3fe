import { Injectable } from '@nestjs/common';
import type { EngineHistoryList, EngineHistoryQuery, EnginePoint } from '#contracts/history-api.js';
import {
  historyRange,
  type HistoryRange,
  ROW_STEPS,
  type RowStep,
  startOf,
  stepOf,
} from '#stores/history-range.js';
import { DataSource } from 'typeorm';
import { type EngineSample, SAMPLE_COLUMNS } from './engine-sample.js';

interface Row extends EngineSample {
  readonly at: Date;
  samples: number;
}

/** How busy the engines were, by time: sums of samples, so that any number of processes may take them. */
@Injectable()
export class EngineHistory {
  constructor(private readonly database: DataSource) {}

  async add(samples: readonly EngineSample[], now_ms: number): Promise<void> {
    const rows = samples.flatMap((sample) =>
      ROW_STEPS.map((step) => ({ ...sample, step, at: startOf(step, now_ms), samples: 1 })),
    );
    rows.sort((a, b) => (`${a.engine} ${a.step}` < `${b.engine} ${b.step}` ? -1 : 1));
    if (rows.length > 0) await this.database.query(ADD, [JSON.stringify(rows)]);
  }

  async list(query: EngineHistoryQuery): Promise<EngineHistoryList> {
    const range = historyRange(query);
    const { from, to, rows } = range;
    const found = await this.database.query<Row[]>(SELECT, [rows, from, to, query.engine ?? null]);
    const shown = { from: from.toISOString(), to: to.toISOString(), step_s: range.step_s };
    return { object: 'list', data: points(found, range), has_more: false, last_id: null, ...shown };
  }

  /** Deletes the rows of that step from before; returns how many. */
  async prune(step: RowStep, before: Date): Promise<number> {
    const [, gone] = await this.database.query<[rows: unknown[], gone: number]>(
      'DELETE FROM engine_figures WHERE step = $1 AND at < $2',
      [step, before],
    );
    return gone;
  }
}

function points(rows: readonly Row[], range: HistoryRange): EnginePoint[] {
  const sums = new Map<string, Row & { start: string }>();
  for (const row of rows) {
    const start = stepOf(range, row.at);
    const key = `${start} ${row.engine}`;
    const sum = sums.get(key);
    if (!sum) sums.set(key, { ...row, start });
    else {
      sum.samples += row.samples;
      for (const name of SAMPLE_COLUMNS.summed) sum[name] += row[name];
      for (const name of SAMPLE_COLUMNS.most) sum[name] = Math.max(sum[name], row[name]);
    }
  }
  return [...sums.values()].map(pointOf);
}

function pointOf({ start, engine, samples, ...sums }: Row & { start: string }): EnginePoint {
  return {
    engine,
    at: start,
    ready_share: sums.ready / samples,
    running_requests: sums.running_requests / samples,
    most_running_requests: sums.most_running_requests,
    waiting_requests: sums.waiting_requests / samples,
    most_waiting_requests: sums.most_waiting_requests,
    queued_tokens: sums.queued_tokens / samples,
    kv_share: sums.kv_share / samples,
    adapter_share: sums.adapter_share / samples,
    adapters: sums.adapters / samples,
  };
}

const { summed, most } = SAMPLE_COLUMNS;
const COLUMNS = ['engine', 'step', 'at', 'samples', ...summed, ...most].join(', ');
const ADDED = [
  ...['samples', ...summed].map((name) => `${name} = engine_figures.${name} + excluded.${name}`),
  ...most.map((name) => `${name} = greatest(engine_figures.${name}, excluded.${name})`),
];
const ADD = `
  INSERT INTO engine_figures (${COLUMNS})
  SELECT ${COLUMNS} FROM jsonb_populate_recordset(NULL::engine_figures, $1::jsonb)
  ON CONFLICT (engine, step, at) DO UPDATE SET ${ADDED.join(', ')}`;
const SELECT = `
  SELECT engine, at, ${['samples', ...summed, ...most].map((name) => `${name}::float8 AS ${name}`).join(', ')}
  FROM engine_figures WHERE step = $1 AND at >= $2 AND at < $3 AND ($4::text IS NULL OR engine = $4)
  ORDER BY at, engine`;
