import type { HistoryStep } from '#contracts/history-api.js';
import { AppError } from '#runtime/app-error.js';

/** Each thing that is counted stands in the row of its minute, of its hour and of its day at once. */
export const ROW_STEPS = ['minute', 'hour', 'day'] as const;
export type RowStep = (typeof ROW_STEPS)[number];

const ROW_S: Readonly<Record<RowStep, number>> = { minute: 60, hour: 3_600, day: 86_400 };

/** Start of the row that holds a time, in UTC. */
export function startOf(step: RowStep, time_ms: number): string {
  return new Date(floorTo(ROW_S[step], time_ms)).toISOString();
}

interface Step {
  readonly length_s: number;
  /** Of which rows a point is made. */
  readonly rows: RowStep;
  /** As the default: up to so long a range, and for beginnings that are not older. */
  readonly range_s: number;
  readonly age_s: number;
}

const HOUR_S = 3_600;
const DAY_S = 86_400;
const STEPS: Readonly<Record<HistoryStep, Step>> = {
  '1m': { length_s: 60, rows: 'minute', range_s: 6 * HOUR_S, age_s: 7 * DAY_S },
  '5m': { length_s: 300, rows: 'minute', range_s: 30 * HOUR_S, age_s: 7 * DAY_S },
  '15m': { length_s: 900, rows: 'minute', range_s: 90 * HOUR_S, age_s: 7 * DAY_S },
  '1h': { length_s: HOUR_S, rows: 'hour', range_s: 15 * DAY_S, age_s: 90 * DAY_S },
  '6h': { length_s: 6 * HOUR_S, rows: 'hour', range_s: 90 * DAY_S, age_s: 90 * DAY_S },
  '1d': { length_s: DAY_S, rows: 'day', range_s: Infinity, age_s: Infinity },
};
/** Rows that one answer may read. */
const MOST_ROWS = 6_000;
const DEFAULT_RANGE_MS = HOUR_S * 1000;

export interface HistoryRange {
  /** Start of the first step. */
  readonly from: Date;
  readonly to: Date;
  readonly step_s: number;
  readonly rows: RowStep;
}

/** What is asked for, with the defaults; throws invalid_request. */
export function historyRange(
  query: {
    readonly from?: string | undefined;
    readonly to?: string | undefined;
    readonly step?: HistoryStep | undefined;
  },
  now_ms = Date.now(),
): HistoryRange {
  const to_ms = query.to === undefined ? now_ms : Date.parse(query.to);
  const from_ms = query.from === undefined ? to_ms - DEFAULT_RANGE_MS : Date.parse(query.from);
  if (from_ms > to_ms)
    throw new AppError('invalid_request', { message: '`from` is later than `to`.', param: 'from' });
  const { length_s, rows } = query.step ? STEPS[query.step] : defaultStep(to_ms - from_ms, now_ms - from_ms);
  const first_ms = floorTo(length_s, from_ms);
  if ((to_ms - first_ms) / 1000 / ROW_S[rows] > MOST_ROWS) {
    throw new AppError('invalid_request', {
      message: `The range holds more than ${MOST_ROWS} ${rows}s: ask for a shorter range or a longer step.`,
      param: 'step',
    });
  }
  return { from: new Date(first_ms), to: new Date(to_ms), step_s: length_s, rows };
}

/** Start of the step that holds a row. */
export function stepOf(range: HistoryRange, at: Date): string {
  return new Date(floorTo(range.step_s, at.getTime())).toISOString();
}

function defaultStep(range_ms: number, age_ms: number): Step {
  const fits = ({ range_s, age_s }: Step): boolean => range_ms <= range_s * 1000 && age_ms <= age_s * 1000;
  return Object.values(STEPS).find(fits) ?? STEPS['1d'];
}

function floorTo(length_s: number, time_ms: number): number {
  return Math.floor(time_ms / (length_s * 1000)) * length_s * 1000;
}
