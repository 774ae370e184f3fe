import { expect, it } from 'vitest';
import { JOB_STATES } from '#contracts/jobs-api.js';
import { rangesOf } from './job-ranges.js';

const counts = { active: 2, waiting: 0, delayed: 3, failed: 1, completed: 10 };

it('pages through all states as if they were one list', () => {
  const seen: string[] = [];
  for (let offset = 0; offset < 20; offset += 4) {
    for (const { state, first, last } of rangesOf(counts, JOB_STATES, { offset, limit: 4 })) {
      for (let at = first; at <= last; at += 1) seen.push(`${state} ${at}`);
    }
  }
  expect(seen).toEqual(
    JOB_STATES.flatMap((state) => Array.from({ length: counts[state] }, (_, at) => `${state} ${at}`)),
  );
});

it('leaves out states that were not asked for, and ends where the list ends', () => {
  expect(rangesOf(counts, ['failed'], { offset: 0, limit: 5 })).toEqual([
    { state: 'failed', first: 0, last: 0 },
  ]);
  expect(rangesOf(counts, JOB_STATES, { offset: 16, limit: 5 })).toEqual([]);
});
