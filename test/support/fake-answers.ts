import type { AnswerFormats } from '#contracts/chat-formats.js';
import { finish as finishEvent, start, tokens } from './engine-events.js';
import type { FakeGeneration, Script } from './fake-engine.js';

/** Answers every request with these tokens at once, each with the text `t`. */
export function answerWith(ids: readonly number[]): Script {
  return (generation) => answer(generation, ids);
}

/** Answers with this text, a few characters in each event. */
export function answerText(
  text: string,
  formats: AnswerFormats = {},
  ending: Parameters<typeof finishEvent>[0] = {},
): Script {
  return (generation) => {
    generation.send({ ...start(), formats });
    for (const choice of choicesOf(generation)) {
      for (let i = 0; i < text.length; i += 3)
        generation.send({ ...tokens(text.slice(i, i + 3), [i]), ...choice });
      generation.send({ ...finishEvent(ending), ...choice });
    }
    generation.end();
  };
}

export function answer(generation: FakeGeneration, ids: readonly number[]): void {
  generation.send({ type: 'start', promptTokens: 1 });
  for (const choice of choicesOf(generation)) {
    for (const id of ids) generation.send({ type: 'tokens', ...choice, text: 't', ids: [id] });
  }
  finish(generation, ids.length);
}

/** Ends every answer that the request asks for. */
export function finish(generation: FakeGeneration, completionTokens: number): void {
  for (const choice of choicesOf(generation)) {
    generation.send({
      type: 'finish',
      ...choice,
      reason: 'stop',
      stopReason: null,
      text: '',
      usage: { promptTokens: 1, cachedTokens: 0, completionTokens },
      timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
    });
  }
  generation.end();
}

function choicesOf({ request: { n = 1 } }: FakeGeneration): { choice?: number }[] {
  return n === 1 ? [{}] : Array.from({ length: n }, (_, choice) => ({ choice }));
}
