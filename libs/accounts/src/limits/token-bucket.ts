const MINUTE_MS = 60_000;

/**
 * A bucket that holds what may be spent at once, at most a minute's worth, and fills evenly. Its level may be below
 * zero: a request that used more than was reserved for it leaves a debt that the next ones wait for.
 * `redis-limiter.lua.ts` holds the same rules; test/integration/limit-stores.test.ts keeps the two equal.
 */
export interface Bucket {
  readonly level: number;
  readonly at_ms: number;
}

/** What is in the bucket now; a bucket that nobody has used is full. */
export function levelAt(bucket: Bucket | undefined, perMinute: number, now_ms: number): number {
  if (!bucket) return perMinute;
  const elapsed_ms = Math.max(0, now_ms - bucket.at_ms);
  return Math.min(perMinute, bucket.level + (elapsed_ms * perMinute) / MINUTE_MS);
}

/** How long until the bucket holds `wanted`. */
export function wait_ms(level: number, wanted: number, perMinute: number): number {
  return Math.max(0, ((wanted - level) * MINUTE_MS) / perMinute);
}

/** A request that reserves more than a bucket ever holds takes all of it. */
export function fitting(tokens: number, perMinute: number): number {
  return Math.min(tokens, perMinute);
}
