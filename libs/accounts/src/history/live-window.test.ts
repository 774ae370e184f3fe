import { describe, expect, it } from 'vitest';
import { addFigures, type Figures, figuresOf, noFigures } from './figures.js';
import { LiveWindow } from './live-window.js';

const T0_MS = Date.parse('2026-03-10T10:00:50Z');
const one = (ttft_ms: number): Figures =>
  figuresOf(
    {
      errorCode: undefined,
      promptTokens: 10,
      cachedTokens: 0,
      completionTokens: 20,
      queue_ms: 1,
      ttft_ms,
      tpots_ms: [5],
    },
    { goodputTtft_ms: 100, goodputTpot_ms: 50 },
  );
/** A minute's row after so many requests. */
const row = (at: string, times: readonly number[]) => {
  const figures = noFigures();
  for (const ttft_ms of times) addFigures(figures, one(ttft_ms));
  return { ...figures, at: new Date(at) };
};

describe('the live window', () => {
  it('has rates of what was added between its reads, over the change of a minute too', () => {
    const window = new LiveWindow();
    window.read([row('2026-03-10T10:00:00Z', [10, 10, 10])], T0_MS);
    expect(window.figures(T0_MS)).toMatchObject({
      per_second: { requests: 0 },
      last_minute: { requests: 3, ttft: { count: 3 } },
    });
    window.read([row('2026-03-10T10:00:00Z', [10, 10, 10, 200])], T0_MS + 5_000);
    const both = [
      row('2026-03-10T10:00:00Z', [10, 10, 10, 200, 10]),
      row('2026-03-10T10:01:00Z', [10, 10, 10]),
    ];
    window.read(both, T0_MS + 10_000);
    expect(window.figures(T0_MS + 10_000)).toMatchObject({
      per_second: { requests: 0.5, completion_tokens: 10, good_tokens: 8 },
      last_minute: { requests: 8, goodput: { requests: 7, share: 7 / 8 } },
    });
  });

  it('forgets what was more than a minute ago', () => {
    const window = new LiveWindow();
    window.read([row('2026-03-10T10:00:00Z', [10])], T0_MS);
    window.read([row('2026-03-10T10:00:00Z', [10, 10])], T0_MS + 1_000);
    window.read([], T0_MS + 65_000);
    expect(window.figures(T0_MS + 65_000)).toMatchObject({
      per_second: { requests: 0 },
      last_minute: { requests: 0, ttft: { count: 0, p50_ms: null }, goodput: { share: null } },
    });
  });
});
