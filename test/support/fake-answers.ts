import type { FakeGeneration, Script } from './fake-engine.js';

/** Answers every request with these tokens at once, each with the text `t`. */
export function answerWith(ids: readonly number[]): Script {
  return (generation) => answer(generation, ids);
}

export function answer(generation: FakeGeneration, ids: readonly number[]): void {
  generation.send({ type: 'start', promptTokens: 1 });
  for (const id of ids) generation.send({ type: 'tokens', text: 't', ids: [id] });
  finish(generation, ids.length);
}

export function finish(generation: FakeGeneration, completionTokens: number): void {
  generation.send({
    type: 'finish',
    reason: 'stop',
    stopReason: null,
    text: '',
    usage: { promptTokens: 1, cachedTokens: 0, completionTokens },
    timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
  });
  generation.end();
}
