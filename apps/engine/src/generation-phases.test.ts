import { expect, it } from 'vitest';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { SpanStart, TraceSpan } from '#runtime/tracing/trace-span.js';
import { tracedPhases } from './generation-phases.js';

class FakeSpan implements TraceSpan {
  readonly traceId = '';
  readonly headers = {};
  readonly parts: FakeSpan[] = [];
  failed: string | undefined;
  ended_ms: number | undefined;

  constructor(
    readonly name: string,
    readonly start: SpanStart = {},
  ) {}

  begin(name: string, start?: SpanStart): TraceSpan {
    const part = new FakeSpan(name, start);
    this.parts.push(part);
    return part;
  }

  set(): void {}

  fail(type: string): void {
    this.failed = type;
  }

  end(at_ms?: number): void {
    this.ended_ms = at_ms;
  }
}

type Finish = Extract<GenerateEvent, { type: 'finish' }>;
const finish = (overrides: Partial<Finish> = {}): Finish => ({
  type: 'finish',
  reason: 'stop',
  stopReason: null,
  text: '',
  usage: { promptTokens: 9, cachedTokens: 4, completionTokens: 3 },
  timing: { queue_ms: 10, ttft_ms: 25, total_ms: 60, adapter: { asked_ms: 1, ready_ms: 9 } },
  ...overrides,
});

async function phasesOf(...events: GenerateEvent[]): Promise<FakeSpan> {
  const span = new FakeSpan('generate');
  const given: GenerateEvent[] = [];
  async function* source() {
    yield* events;
  }
  for await (const event of tracedPhases(source(), span, 1_000)) given.push(event);
  expect(given).toEqual(events);
  return span;
}
const timesOf = ({ name, start, ended_ms }: FakeSpan) => [name, start.at_ms, ended_ms];

it('tells of each answer what it waited for and was computed in', async () => {
  const span = await phasesOf(finish());
  expect(span.parts.map(timesOf)).toEqual([
    ['queue', 1_000, 1_010],
    ['prefill', 1_010, 1_025],
    ['decode', 1_025, 1_060],
  ]);
  expect(span.parts[0]?.parts.map(timesOf)).toEqual([['adapter load', 1_001, 1_009]]);
  expect(span.parts[1]?.start.attributes).toMatchObject({ 'gen_ai.usage.cache_read.input_tokens': 4 });
});

it('names the choice where there are several, and no phase that was not', async () => {
  const alone = { promptTokens: 9, cachedTokens: 0, completionTokens: 1 };
  const timing = { queue_ms: 1, ttft_ms: 2, total_ms: 2 };
  const span = await phasesOf(finish({ choice: 1, usage: alone, timing }));
  expect(span.parts.map(({ name, start }) => [name, start.attributes?.['lorikeet.choice']])).toEqual([
    ['queue', 1],
    ['prefill', 1],
  ]);
  expect(span.parts[0]?.parts).toEqual([]);
});

it('fails with what the engine reports', async () => {
  const span = await phasesOf({ type: 'error', code: 'internal_error', message: 'x' });
  expect(span.failed).toBe('internal_error');
});
