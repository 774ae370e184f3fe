import type { JobCounts, JobState } from './job-queue.js';

export interface StateRange {
  readonly state: JobState;
  /** Positions within the state, both inclusive. */
  readonly first: number;
  readonly last: number;
}

/** Which jobs of which state stand on a page of the list in which one state follows the other. */
export function rangesOf(
  counts: JobCounts,
  states: readonly JobState[],
  { offset, limit }: { offset: number; limit: number },
): StateRange[] {
  const ranges: StateRange[] = [];
  let start = 0;
  for (const state of states) {
    const end = start + counts[state];
    const first = Math.max(offset, start) - start;
    const last = Math.min(offset + limit, end) - start - 1;
    if (first <= last) ranges.push({ state, first, last });
    start = end;
  }
  return ranges;
}
