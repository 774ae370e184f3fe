import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { TraceSpan } from '#runtime/tracing/trace-span.js';

type Finish = Extract<GenerateEvent, { type: 'finish' }>;

/** The events of a request that came at `arrival_ms`; each answer's end adds to the span what the answer went through. */
export async function* tracedPhases(
  events: AsyncIterable<GenerateEvent>,
  span: TraceSpan,
  arrival_ms: number,
): AsyncGenerator<GenerateEvent> {
  for await (const event of events) {
    if (event.type === 'finish') addPhases(event, span, arrival_ms);
    else if (event.type === 'error') span.fail(event.code);
    yield event;
  }
}

/** All times are from the arrival on. */
function addPhases({ timing, usage, choice, reason }: Finish, span: TraceSpan, arrival_ms: number): void {
  const { queue_ms, ttft_ms, total_ms, adapter } = timing;
  const common = choice === undefined ? {} : { 'lorikeet.choice': choice };
  const add = (parent: TraceSpan, name: string, from_ms: number, to_ms: number, attributes = {}) => {
    const at_ms = arrival_ms + from_ms;
    const phase = parent.begin(name, { at_ms, attributes: { ...common, ...attributes } });
    phase.end(arrival_ms + to_ms);
    return phase;
  };
  const queue = add(span, 'queue', 0, queue_ms);
  if (adapter) add(queue, 'adapter load', adapter.asked_ms, adapter.ready_ms);
  add(span, 'prefill', queue_ms, ttft_ms, {
    'gen_ai.usage.input_tokens': usage.promptTokens,
    'gen_ai.usage.cache_read.input_tokens': usage.cachedTokens,
  });
  if (usage.completionTokens < 2) return;
  add(span, 'decode', ttft_ms, total_ms, {
    'gen_ai.usage.output_tokens': usage.completionTokens,
    'gen_ai.response.finish_reasons': [reason],
  });
}
