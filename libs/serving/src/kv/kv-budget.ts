import type { KvDtype, ModelInspection } from '#native-engine/native.js';
import { pagesFor } from './kv-pages.js';

/** Tokens of a KV page. */
export const PAGE_TOKENS = 16;
const SHARE_OF_FREE_MEMORY = 0.25;

export interface KvBudgetOptions {
  readonly inspection: Pick<ModelInspection, 'maxPositions' | 'kvTokenBytes'>;
  readonly dtype: KvDtype;
  /** KV_CACHE_BYTES, when it is set. */
  readonly wantedBytes: number | undefined;
  readonly maxContext: number | undefined;
  readonly maxSequences: number;
  readonly availableBytes: number;
}

/** Bytes for the KV cache: as asked for, else a share of the free memory and no more than full batches of full contexts need. */
export function kvBudgetBytes(options: KvBudgetOptions): number {
  if (options.wantedBytes !== undefined) return options.wantedBytes;
  const { inspection, dtype, maxSequences } = options;
  const contextTokens = Math.min(options.maxContext ?? inspection.maxPositions, inspection.maxPositions);
  const pageBytes = PAGE_TOKENS * inspection.kvTokenBytes[dtype];
  const mostBytes = pageBytes * pagesFor(contextTokens, PAGE_TOKENS) * maxSequences;
  const shareBytes = Math.floor(options.availableBytes * SHARE_OF_FREE_MEMORY);
  return Math.max(pageBytes, Math.min(mostBytes, shareBytes));
}
