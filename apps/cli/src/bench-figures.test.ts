import { expect, it } from 'vitest';
import { benchFigures, spreadOf } from './bench-figures.js';

it('takes percentiles by nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
  expect(spreadOf(hundred)).toEqual({ p50: 50, p90: 90, p99: 99 });
  expect(spreadOf([7])).toEqual({ p50: 7, p90: 7, p99: 7 });
  expect(spreadOf([])).toBeNull();
});

it('divides what came after the first token by the tokens after it', () => {
  const figures = benchFigures(
    [
      { ttft_ms: 100, total_ms: 400, completionTokens: 4 },
      { ttft_ms: 50, total_ms: 50, completionTokens: 1 },
    ],
    1,
    2,
  );
  expect(figures).toMatchObject({
    requests: 2,
    errors: 1,
    requests_per_second: 1,
    completion_tokens_per_second: 2.5,
    tpot_ms: { p50: 100, p99: 100 },
  });
});
