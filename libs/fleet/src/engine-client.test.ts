import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';
import { FakeEngine, FAKE_BASE } from '../../../test/support/fake-engine.js';
import { EngineClient } from './engine-client.js';

const REQUEST: GenerateRequest = {
  requestId: 'r1',
  cacheSalt: 't1',
  fairnessKey: 't1',
  input: { kind: 'text', text: 'hello' },
  maxTokens: 4,
  minTokens: 0,
  ignoreEos: false,
  stop: [],
  stopTokenIds: [],
  includeStop: false,
  sampling: NEUTRAL_SAMPLING,
  returnPromptTokens: false,
};
const START: GenerateEvent = { type: 'start', promptTokens: 1 };
const TOKENS: GenerateEvent = { type: 'tokens', text: 'é☃', ids: [5] };
const FINISH: GenerateEvent = {
  type: 'finish',
  reason: 'stop',
  stopReason: null,
  text: '',
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 1 },
  timing: { queue_ms: 0, ttft_ms: 1, total_ms: 2 },
};
const forever = new AbortController().signal;

let engine: FakeEngine;
let client: EngineClient;
beforeEach(async () => {
  engine = await FakeEngine.start();
  client = new EngineClient({ url: engine.url, token: 'token' });
});
afterEach(async () => {
  await client.close();
  await engine.close();
});

async function collect(signal = forever): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of await client.generate(REQUEST, signal)) events.push(event);
  return events;
}

describe('EngineClient', () => {
  it('reads the status', async () => {
    expect((await client.status()).base).toEqual(FAKE_BASE);
  });

  it('yields the events of a stream that arrives in pieces', async () => {
    engine.script = async (generation) => {
      const bytes = Buffer.from(
        [START, TOKENS, FINISH].map((event) => `${JSON.stringify(event)}\n`).join(''),
      );
      for (let at = 0; at < bytes.length; at += 7) {
        generation.raw(bytes.subarray(at, at + 7));
        await new Promise(setImmediate);
      }
      generation.end();
    };
    expect(await collect()).toEqual([START, TOKENS, FINISH]);
    expect(engine.requests).toEqual([REQUEST]);
  });

  it('throws what the engine refuses before the stream, with its code, field and delay', async () => {
    engine.script = (generation) => generation.refuse('context_length_exceeded', 'too long', 'prompt');
    await expect(collect()).rejects.toMatchObject({
      code: 'context_length_exceeded',
      message: 'too long',
      details: { param: 'prompt', retryAfter_s: 7 },
    });
  });

  it("hides that the engine refused our own token: that is no fault of the caller's key", async () => {
    const stranger = new EngineClient({ url: engine.url, token: 'other' });
    await expect(stranger.generate(REQUEST, forever)).rejects.toMatchObject({ code: 'internal_error' });
    await stranger.close();
  });

  it('says engine_unavailable when nothing listens', async () => {
    await engine.close();
    await expect(collect()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(client.status()).rejects.toMatchObject({ code: 'engine_unavailable' });
    engine = await FakeEngine.start();
  });

  it.each([
    ['is cut', (generation: { cut(): void }) => generation.cut()],
    ['ends early', (generation: { end(): void }) => generation.end()],
  ])('ends with an engine_unavailable event when the connection %s mid-stream', async (_how, stop) => {
    let end: () => void = () => undefined;
    engine.script = (generation) => {
      generation.send(START, TOKENS);
      generation.raw('{"type":"tok');
      end = () => stop(generation);
    };
    const events: GenerateEvent[] = [];
    for await (const event of await client.generate(REQUEST, forever)) {
      events.push(event);
      if (event.type === 'tokens') end(); // not before the client has read what came before
    }
    expect(events.slice(0, 2)).toEqual([START, TOKENS]);
    expect(events.slice(2)).toMatchObject([{ type: 'error', code: 'engine_unavailable' }]);
  });

  it('ends with an error event on a line that is no event', async () => {
    engine.script = (generation) => {
      generation.send(START);
      generation.raw('{"type":"tokens","text":5}\n');
    };
    expect((await collect()).at(-1)).toMatchObject({ type: 'error', code: 'internal_error' });
  });

  it('passes on an error event and reads no further', async () => {
    const error: GenerateEvent = { type: 'error', code: 'internal_error', message: 'step failed' };
    engine.script = (generation) => generation.send(START, error, TOKENS);
    expect(await collect()).toEqual([START, error]);
  });

  it('closes the connection when the signal aborts, before and within the stream', async () => {
    const abandoned: Promise<void>[] = [];
    engine.script = (generation) => {
      abandoned.push(generation.abandoned);
      if (engine.requests.length === 2) generation.send(START);
      controller.abort();
    };
    let controller = new AbortController();
    await expect(collect(controller.signal)).rejects.toMatchObject({ code: 'client_closed_request' });
    controller = new AbortController();
    await expect(collect(controller.signal)).rejects.toMatchObject({ code: 'client_closed_request' });
    await Promise.all(abandoned);
    expect(abandoned).toHaveLength(2);
  });

  it('closes the connection when the reader leaves', async () => {
    let abandoned: Promise<void> | undefined;
    engine.script = (generation) => {
      abandoned = generation.abandoned;
      generation.send(START, TOKENS);
    };
    for await (const event of await client.generate(REQUEST, forever)) if (event.type === 'start') break;
    await expect(abandoned).resolves.toBeUndefined();
  });

  it('drops an adapter by its digest', async () => {
    await client.dropAdapter('abc');
    expect(engine.dropped).toEqual(['abc']);
  });
});
