import { ERROR_TABLE, type ErrorCode } from '#contracts/errors.js';
import type { UsageRecord } from '../usage-buffer.js';
import { addHistogram, addTime, type Histogram } from './histogram.js';

/** Limits that a request has to keep to count as goodput. */
export interface GoodputLimits {
  readonly goodputTtft_ms: number;
  readonly goodputTpot_ms: number;
}

/** What the charts show of any number of requests; named as the columns of request_figures. */
export interface Figures {
  requests: number;
  errors: number;
  /** How many ended with which error code. */
  error_codes: Partial<Record<ErrorCode, number>>;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  /** Sums of the times that the histograms count. */
  ttft_ms: number;
  ttft: Histogram;
  tpot_ms: number;
  tpot: Histogram;
  queue_ms: number;
  queue: Histogram;
  /** Requests that ended well or by a fault of ours; of them those within the limits, and those ones' completion tokens. */
  judged: number;
  good: number;
  good_tokens: number;
}

export function noFigures(): Figures {
  return {
    requests: 0,
    errors: 0,
    error_codes: {},
    prompt_tokens: 0,
    cached_tokens: 0,
    completion_tokens: 0,
    ttft_ms: 0,
    ttft: [],
    tpot_ms: 0,
    tpot: [],
    queue_ms: 0,
    queue: [],
    judged: 0,
    good: 0,
    good_tokens: 0,
  };
}

type Ended = Pick<
  UsageRecord,
  'errorCode' | 'promptTokens' | 'cachedTokens' | 'completionTokens' | 'queue_ms' | 'ttft_ms' | 'tpots_ms'
>;

export function figuresOf(record: Ended, limits: GoodputLimits): Figures {
  const figures = noFigures();
  const { errorCode, queue_ms, ttft_ms, tpots_ms } = record;
  figures.requests = 1;
  if (errorCode !== undefined) {
    figures.errors = 1;
    figures.error_codes[errorCode] = 1;
  }
  figures.prompt_tokens = record.promptTokens;
  figures.cached_tokens = record.cachedTokens;
  figures.completion_tokens = record.completionTokens;
  if (ttft_ms !== undefined) {
    figures.ttft_ms = ttft_ms;
    addTime(figures.ttft, ttft_ms);
  }
  if (queue_ms !== undefined) {
    figures.queue_ms = queue_ms;
    addTime(figures.queue, queue_ms);
  }
  for (const tpot_ms of tpots_ms) {
    figures.tpot_ms += tpot_ms;
    addTime(figures.tpot, tpot_ms);
  }
  figures.judged = isJudged(errorCode) ? 1 : 0;
  if (figures.judged === 1 && isGood(record, limits)) {
    figures.good = 1;
    figures.good_tokens = record.completionTokens;
  }
  return figures;
}

/** What a request was refused for before it had a model. */
export function figuresOfRefusal(errorCode: ErrorCode): Figures {
  return {
    ...noFigures(),
    requests: 1,
    errors: 1,
    error_codes: { [errorCode]: 1 },
    judged: isJudged(errorCode) ? 1 : 0,
  };
}

export function addFigures(to: Figures, from: Figures): void {
  for (const name of COUNTS) to[name] += from[name];
  for (const name of HISTOGRAMS) addHistogram(to[name], from[name]);
  for (const [code, count] of Object.entries(from.error_codes) as [ErrorCode, number][])
    to.error_codes[code] = (to.error_codes[code] ?? 0) + count;
}

/** How much a row has grown since it was as `before`. */
export function subtractFigures(now: Figures, before: Figures): Figures {
  const growth = noFigures();
  for (const name of COUNTS) growth[name] = now[name] - before[name];
  for (const name of HISTOGRAMS)
    growth[name] = now[name].map((count, bucket) => count - (before[name][bucket] ?? 0));
  for (const [code, count] of Object.entries(now.error_codes) as [ErrorCode, number][])
    growth.error_codes[code] = count - (before.error_codes[code] ?? 0);
  return growth;
}

/** What the caller did wrong, or broke off, says nothing of how well it was served. */
function isJudged(errorCode: ErrorCode | undefined): boolean {
  return errorCode === undefined || ERROR_TABLE[errorCode].status >= 500;
}

function isGood({ errorCode, ttft_ms, tpots_ms }: Ended, limits: GoodputLimits): boolean {
  if (errorCode !== undefined || (ttft_ms ?? 0) > limits.goodputTtft_ms) return false;
  const sum_ms = tpots_ms.reduce((sum, tpot_ms) => sum + tpot_ms, 0);
  return sum_ms <= limits.goodputTpot_ms * tpots_ms.length;
}

/** The columns that add up as numbers. */
export const COUNTS = [
  'requests',
  'errors',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'ttft_ms',
  'tpot_ms',
  'queue_ms',
  'judged',
  'good',
  'good_tokens',
] as const;
export const HISTOGRAMS = ['ttft', 'tpot', 'queue'] as const;
