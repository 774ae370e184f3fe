import type { KvDtype, ModelInspection } from '#native-engine/native.js';
import { pagesFor } from './kv-pages.js';

const LEAST_PAGE_TOKENS = 16;
const SHARE_OF_FREE_MEMORY = 0.25;

type PageSizes = Pick<ModelInspection, 'kvTokenBytes' | 'kvStateBytes'>;

export interface KvBudgetOptions {
  readonly inspection: Pick<ModelInspection, 'maxPositions'> & PageSizes;
  readonly dtype: KvDtype;
  /** KV_CACHE_BYTES, when it is set. */
  readonly wantedBytes: number | undefined;
  readonly maxContext: number | undefined;
  readonly maxSequences: number;
  readonly availableBytes: number;
}

/** Tokens of a KV page: 16, of recurrent models as many more as keep a page's states from being most of it. */
export function pageTokensOf({ kvTokenBytes, kvStateBytes }: PageSizes, dtype: KvDtype): number {
  let tokens = LEAST_PAGE_TOKENS;
  while (tokens * kvTokenBytes[dtype] < kvStateBytes) tokens *= 2;
  return tokens;
}

/** What a page takes in the caches of all layers. */
export function pageBytesOf(
  { kvTokenBytes, kvStateBytes }: PageSizes,
  dtype: KvDtype,
  pageTokens: number,
): number {
  return pageTokens * kvTokenBytes[dtype] + kvStateBytes;
}

/** Bytes for the KV cache: as asked for, else a share of the free memory and no more than full batches of full contexts need. */
export function kvBudgetBytes(options: KvBudgetOptions): number {
  if (options.wantedBytes !== undefined) return options.wantedBytes;
  const { inspection, dtype, maxSequences } = options;
  const contextTokens = Math.min(options.maxContext ?? inspection.maxPositions, inspection.maxPositions);
  const pageTokens = pageTokensOf(inspection, dtype);
  const pageBytes = pageBytesOf(inspection, dtype, pageTokens);
  const mostBytes = pageBytes * pagesFor(contextTokens, pageTokens) * maxSequences;
  const shareBytes = Math.floor(options.availableBytes * SHARE_OF_FREE_MEMORY);
  return Math.max(pageBytes, Math.min(mostBytes, shareBytes));
}
