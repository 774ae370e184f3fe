import type { ErrorCode } from '#contracts/errors.js';
import { servedKey } from './served-key.js';

/** One finished request, as metered. */
export interface UsageRecord {
  readonly tenantId: string;
  readonly keyId: string;
  /** Absent: the base model, or several adapters. */
  readonly adapterId: string | undefined;
  /** The adapter's name, or those of several as `a+b`, kept with the sums. */
  readonly adapter: string | undefined;
  readonly version: number | undefined;
  /** The adapters that answered together; none, or one: it is the one above. */
  readonly members?: readonly { readonly adapterId: string; readonly version: number }[];
  readonly model: string;
  readonly requestId: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Absent: it was answered. */
  readonly errorCode: ErrorCode | undefined;
  /** From its arrival at the engine to its first step; absent: it was not told. */
  readonly queue_ms: number | undefined;
  readonly ttft_ms: number | undefined;
  readonly total_ms: number;
  /** Of each generation of two tokens and more: its mean time per token after the first. */
  readonly tpots_ms: readonly number[];
}

/** Sums of one key, one served version, one minute; named as the columns of usage_minutes. */
export interface UsageSum {
  readonly tenant_id: string;
  readonly minute: string;
  readonly key_id: string;
  readonly served: string;
  readonly adapter_id: string | null;
  readonly adapter: string | null;
  readonly version: number | null;
  requests: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  errors: number;
  first_tokens: number;
  ttft_ms: number;
  total_ms: number;
  tpot_sequences: number;
  tpot_ms: number;
}

/** Adds records up until they are taken, so memory follows the number of distinct sums, not of requests. */
export class UsageBuffer {
  #sums = new Map<string, UsageSum>();

  get size(): number {
    return this.#sums.size;
  }

  add(record: UsageRecord, at: Date): void {
    const minute = new Date(Math.floor(at.getTime() / 60_000) * 60_000).toISOString();
    const served = servedOf(record);
    const key = [record.tenantId, minute, record.keyId, served].join(' ');
    const sum = this.#sums.get(key) ?? emptySum(record, minute, served);
    sum.requests += 1;
    sum.prompt_tokens += record.promptTokens;
    sum.cached_tokens += record.cachedTokens;
    sum.completion_tokens += record.completionTokens;
    sum.errors += record.errorCode === undefined ? 0 : 1;
    sum.first_tokens += record.ttft_ms === undefined ? 0 : 1;
    sum.ttft_ms += record.ttft_ms ?? 0;
    sum.total_ms += record.total_ms;
    sum.tpot_sequences += record.tpots_ms.length;
    for (const tpot_ms of record.tpots_ms) sum.tpot_ms += tpot_ms;
    this.#sums.set(key, sum);
  }

  /** All sums, in the order of the table's key (two processes that write the same rows then never deadlock). */
  take(): UsageSum[] {
    const sums = [...this.#sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum);
    this.#sums = new Map();
    return sums;
  }
}

/** Of several adapters their keys in order, whatever the weights. */
function servedOf({ adapterId, version, members = [] }: UsageRecord): string {
  if (adapterId !== undefined) return servedKey(adapterId, version);
  return (
    members
      .map((member) => servedKey(member.adapterId, member.version))
      .sort()
      .join('+') || 'base'
  );
}

function emptySum(record: UsageRecord, minute: string, served: string): UsageSum {
  return {
    tenant_id: record.tenantId,
    minute,
    key_id: record.keyId,
    served,
    adapter_id: record.adapterId ?? null,
    adapter: record.adapter ?? null,
    version: record.version ?? null,
    requests: 0,
    prompt_tokens: 0,
    cached_tokens: 0,
    completion_tokens: 0,
    errors: 0,
    first_tokens: 0,
    ttft_ms: 0,
    total_ms: 0,
    tpot_sequences: 0,
    tpot_ms: 0,
  };
}
