import { describe, expect, it, vi } from 'vitest';
import { finish, start, tokens } from '../../../../test/support/engine-events.js';
import { RequestMeter } from './request-meter.js';

describe('RequestMeter', () => {
  it('counts a prompt once for all its alternatives and every generated token', () => {
    const meter = new RequestMeter([{ prompt: 0 }, { prompt: 0 }, { prompt: 1 }]);
    const usage = { promptTokens: 10, cachedTokens: 4, completionTokens: 3 };
    for (const sequence of [0, 1]) {
      meter.note(sequence, start(10));
      meter.note(sequence, finish({ usage: { ...usage, cachedTokens: sequence === 0 ? 4 : 10 } }));
    }
    meter.note(2, start(5));
    meter.note(2, finish({ usage: { promptTokens: 5, cachedTokens: 0, completionTokens: 1 } }));
    expect(meter.usage).toEqual({
      prompt_tokens: 15,
      completion_tokens: 7,
      total_tokens: 22,
      prompt_tokens_details: { cached_tokens: 4 },
    });
  });

  it('says what of each prompt an activated LoRA computed, also where it was nothing', () => {
    const meter = new RequestMeter([{ prompt: 0 }, { prompt: 0 }, { prompt: 1 }]);
    const usage = { promptTokens: 10, cachedTokens: 4, completionTokens: 3, adapterTokens: 6 };
    for (const sequence of [0, 1]) meter.note(sequence, finish({ usage }));
    meter.note(2, finish({ usage: { ...usage, adapterTokens: 0 } }));
    expect(meter.usage.prompt_tokens_details).toEqual({ cached_tokens: 8, adapter_tokens: 6 });
  });

  it('knows what an unfinished request has used so far', () => {
    const meter = new RequestMeter([{ prompt: 0 }]);
    expect(meter.ttft_ms).toBeUndefined();
    meter.note(0, start(10));
    meter.note(0, tokens('ab', [1, 2]));
    meter.note(0, tokens('', [3]));
    expect(meter.usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 3 });
    expect(meter.ttft_ms).toBeGreaterThanOrEqual(0);
  });

  it('sums the time per token after the first over all generations that have one', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const meter = new RequestMeter([{ prompt: 0 }, { prompt: 0 }, { prompt: 0 }]);
    meter.note(0, tokens('a', [1]));
    vi.advanceTimersByTime(10);
    meter.note(1, tokens('b', [1, 2]));
    meter.note(2, tokens('c', [1]));
    vi.advanceTimersByTime(30);
    meter.note(0, tokens('a', [2, 3]));
    meter.note(1, tokens('b', [3]));
    expect(meter.tpot).toEqual({ sequences: 2, sum_ms: 40 / 2 + 30 / 2 });
    vi.useRealTimers();
  });

  it('counts the prompt of an alternative when the first one never started', () => {
    const meter = new RequestMeter([{ prompt: 0 }, { prompt: 0 }]);
    meter.note(1, start(10));
    expect(meter.usage.prompt_tokens).toBe(10);
  });
});
