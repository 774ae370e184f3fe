/**
 * Times in buckets that grow by a tenth of a decade (26 %), so that a sum of any minutes still knows its percentiles:
 * bucket 0 holds up to 0.1 ms, bucket i up to 0.1 ms * 10^(i / 10). Written without the empty buckets at its end.
 */
export type Histogram = number[];

const LOWEST_MS = 0.1;
const PER_DECADE = 10;
/** Up to 10^7 ms, which is nearly three hours; what took longer counts as that. */
const LAST_BUCKET = 80;

export function addTime(histogram: Histogram, time_ms: number): void {
  const bucket = bucketOf(time_ms);
  while (histogram.length <= bucket) histogram.push(0);
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
}

export function addHistogram(to: Histogram, from: readonly number[]): void {
  while (to.length < from.length) to.push(0);
  for (const [bucket, count] of from.entries()) to[bucket] = (to[bucket] ?? 0) + count;
}

/** How many times it holds. */
export function countOf(histogram: readonly number[]): number {
  return histogram.reduce((sum, count) => sum + count, 0);
}

/** The time that a share of all did not exceed, as near as the bucket that holds it tells; undefined of none. */
export function quantile(histogram: readonly number[], share: number): number | undefined {
  const rank = share * countOf(histogram);
  if (rank === 0) return undefined;
  let below = 0;
  for (const [bucket, count] of histogram.entries()) {
    if (count > 0 && below + count >= rank) return timeIn(bucket, (rank - below) / count);
    below += count;
  }
  return timeIn(histogram.length - 1, 1);
}

function bucketOf(time_ms: number): number {
  if (!(time_ms > LOWEST_MS)) return 0;
  return Math.min(LAST_BUCKET, Math.ceil(PER_DECADE * Math.log10(time_ms / LOWEST_MS)));
}

/** The time so far into a bucket, whose times are taken to lie evenly on a logarithmic axis. */
function timeIn(bucket: number, part: number): number {
  if (bucket === 0) return LOWEST_MS * part;
  return LOWEST_MS * 10 ** ((bucket - 1 + part) / PER_DECADE);
}
