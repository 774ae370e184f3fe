import type { KvDtype } from '#native-engine/native.js';
import { z } from 'zod';
import { pagesFor } from './kv-pages.js';

/** Tokens of a KV page. */
export const PAGE_TOKENS = 16;
const SHARE_OF_FREE_MEMORY = 0.25;

/** What of config.json decides the size of the KV cache. */
export const KvGeometrySchema = z
  .looseObject({
    num_hidden_layers: z.int().positive(),
    num_attention_heads: z.int().positive(),
    num_key_value_heads: z.int().positive().nullish(),
    hidden_size: z.int().positive(),
    head_dim: z.int().positive().nullish(),
    max_position_embeddings: z.int().positive(),
  })
  .transform((config) => ({
    /** A key and a value for each layer and KV head. */
    vectorsPerToken:
      2 * config.num_hidden_layers * (config.num_key_value_heads ?? config.num_attention_heads),
    headSize: config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads),
    maxPositions: config.max_position_embeddings,
  }));
export type KvGeometry = z.infer<typeof KvGeometrySchema>;

export interface KvBudgetOptions {
  readonly geometry: KvGeometry;
  readonly dtype: KvDtype;
  /** KV_CACHE_BYTES, when it is set. */
  readonly wantedBytes: number | undefined;
  readonly maxContext: number | undefined;
  readonly maxSequences: number;
  readonly availableBytes: number;
}

const ELEMENT_BYTES: Readonly<Record<KvDtype, number>> = { f32: 4, f16: 2, bf16: 2, int8: 1 };
const SCALE_BYTES = 4;

/** What a page costs in native (native/backend/shared/kv_type.h). */
function kvPageBytes({ vectorsPerToken, headSize }: KvGeometry, dtype: KvDtype): number {
  const vectorBytes = headSize * ELEMENT_BYTES[dtype] + (dtype === 'int8' ? SCALE_BYTES : 0);
  return PAGE_TOKENS * vectorsPerToken * vectorBytes;
}

/** Bytes for the KV cache: as asked for, else a share of the free memory and no more than full batches of full contexts need. */
export function kvBudgetBytes(options: KvBudgetOptions): number {
  if (options.wantedBytes !== undefined) return options.wantedBytes;
  const { geometry, dtype, maxSequences } = options;
  const contextTokens = Math.min(options.maxContext ?? geometry.maxPositions, geometry.maxPositions);
  const pageBytes = kvPageBytes(geometry, dtype);
  const mostBytes = pageBytes * pagesFor(contextTokens, PAGE_TOKENS) * maxSequences;
  const shareBytes = Math.floor(options.availableBytes * SHARE_OF_FREE_MEMORY);
  return Math.max(pageBytes, Math.min(mostBytes, shareBytes));
}
