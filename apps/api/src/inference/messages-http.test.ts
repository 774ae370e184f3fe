import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { start, tokens } from '../../../../test/support/engine-events.js';
import { answerText } from '../../../../test/support/fake-answers.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

let app: InferenceApp;
let client: Anthropic;
beforeAll(async () => {
  app = await startInferenceApp();
  client = new Anthropic({ apiKey: KEY, baseURL: app.url, maxRetries: 0 });
});
afterAll(() => app.close());
beforeEach(() => {
  app.engine.requests.length = 0;
});

type Ending = Parameters<typeof answerText>[2];
function answer(...as: Parameters<typeof answerText>): void {
  app.engine.script = answerText(...as);
}
const ask = {
  model: 'support',
  max_tokens: 9,
  messages: [{ role: 'user' as const, content: 'Paris?' }],
};
const weather: Anthropic.Tool = {
  name: 'weather',
  description: 'The weather of a city',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
};
const asked = () => app.engine.requests.at(-1) as GenerateRequest;
const conversation = () => {
  const { input } = asked();
  return JSON.parse((input as { conversation: string }).conversation) as Record<string, unknown>;
};

describe("Anthropic's messages, with its own client", () => {
  it('answer whole, with the tokens that were cached apart', async () => {
    answer('Rain.');
    const sampling = { system: 'Be brief.', temperature: 0, top_k: 5 };
    const sampled: typeof ask = { ...ask, ...sampling };
    expect(await client.messages.create(sampled)).toMatchObject({
      id: expect.stringMatching(/^msg_[0-9a-f]{32}$/) as unknown,
      type: 'message',
      role: 'assistant',
      model: 'support',
      content: [{ type: 'text', text: 'Rain.' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: {
        input_tokens: 1,
        output_tokens: 3,
        cache_read_input_tokens: 1,
        cache_creation_input_tokens: 0,
      },
    });
    expect(asked()).toMatchObject({ maxTokens: 9, sampling: { temperature: 0, topK: 5 } });
    expect(conversation()).toMatchObject({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Paris?' },
      ],
      arguments: { enable_thinking: false },
    });
  });

  it('stream the same message', async () => {
    const text =
      '<think>Hm.</think>I look.\n<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>';
    answer(text, { tools: 'hermes', reasoning: 'think' });
    const fields = { ...ask, tools: [weather], thinking: { type: 'enabled' as const, budget_tokens: 1024 } };
    const whole = await client.messages.create(fields);
    expect(whole).toMatchObject({
      content: [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'I look.' },
        { type: 'tool_use', name: 'weather', input: { city: 'Paris' } },
      ],
      stop_reason: 'tool_use',
    });
    const stream = client.messages.stream(fields);
    const kinds = new Set<string>();
    stream.on('streamEvent', ({ type }) => kinds.add(type));
    const streamed = await stream.finalMessage();
    const shape = ({ content, stop_reason, usage }: Anthropic.Message) => ({
      content: content.map((block) => ('id' in block ? { ...block, id: '' } : block)),
      stop_reason,
      usage,
    });
    expect(shape(streamed)).toEqual(shape(whole));
    expect(kinds).toEqual(
      new Set([
        'message_start',
        'content_block_start',
        'content_block_delta',
        'content_block_stop',
        'message_delta',
        'message_stop',
      ]),
    );
  });

  it('leave reasoning out unless it is asked for', async () => {
    answer('Hm.</think>Yes', { reasoning: 'think', reasoningOpen: true });
    const { content } = await client.messages.create(ask);
    expect(content).toEqual([{ type: 'text', text: 'Yes', citations: null }]);
  });

  it('carry calls and results of tools back, as the chat template knows them', async () => {
    answer('Rain.');
    await client.messages.create({
      ...ask,
      tools: [weather],
      messages: [
        ...ask.messages,
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'Hm.', signature: '' },
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Paris' } },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'text', text: 'rain' }] },
            { type: 'text', text: 'And?' },
          ],
        },
      ],
    });
    expect(conversation()).toMatchObject({
      messages: [
        { role: 'user', content: 'Paris?' },
        {
          role: 'assistant',
          content: 'I look.',
          reasoning_content: 'Hm.',
          tool_calls: [{ id: 'toolu_1', function: { name: 'weather', arguments: { city: 'Paris' } } }],
        },
        { role: 'tool', tool_call_id: 'toolu_1', content: 'rain' },
        { role: 'user', content: 'And?' },
      ],
      tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }],
    });
  });

  it("go on with the assistant's text that comes last", async () => {
    answer(' fine');
    const messages = [...ask.messages, { role: 'assistant' as const, content: 'It is' }];
    const { content } = await client.messages.create({ ...ask, messages });
    expect(content).toMatchObject([{ text: ' fine' }]);
    expect(asked().input).toMatchObject({ addGenerationPrompt: false, continueFinalMessage: true });
  });

  it.each<[Ending, object]>([
    [{ reason: 'length' }, { stop_reason: 'max_tokens', stop_sequence: null }],
    [{ stopReason: 'END' }, { stop_reason: 'stop_sequence', stop_sequence: 'END' }],
    [{ stopReason: 7 }, { stop_reason: 'end_turn', stop_sequence: null }],
  ])('say why they ended: %j', async (more, expected) => {
    answer('x', {}, more);
    expect(await client.messages.create({ ...ask, stop_sequences: ['END'] })).toMatchObject(expected);
    expect(asked().stop).toEqual(['END']);
  });

  it('give a call whose arguments were cut as text', async () => {
    answer('<tool_call>{"name": "weather", "arguments": {"ci', { tools: 'hermes' }, { reason: 'length' });
    expect(await client.messages.create({ ...ask, tools: [weather] })).toMatchObject({
      content: [{ type: 'text', text: 'weather {"ci' }],
      stop_reason: 'max_tokens',
    });
  });

  it('end a stream that fails with an error event', async () => {
    app.engine.script = (generation) => {
      generation.send(start(), tokens('I', [7]), {
        type: 'error',
        code: 'internal_error',
        message: 'it broke',
      });
      generation.end();
    };
    await expect(client.messages.stream(ask).finalMessage()).rejects.toMatchObject({
      error: { type: 'error', error: { type: 'api_error', message: 'it broke' } },
    });
  });
});

describe('what is refused', () => {
  const image = { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } };
  it.each<[object, string]>([
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ temperature: 1.5 }, 'temperature'],
    [{ messages: [{ role: 'user', content: [image] }] }, 'messages'],
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools'],
    [{ tool_choice: { type: 'any' } }, 'tool_choice'],
    [{ tools: [weather], tool_choice: { type: 'tool', name: 'nobody' } }, 'tool_choice'],
    [{ tools: [weather], tool_choice: { type: 'some' } }, 'tool_choice'],
    [{ container: 'x' }, 'container'],
  ])('is named: %j', async (fields, param) => {
    const refusal = client.messages.create({
      ...ask,
      ...fields,
    } as Anthropic.MessageCreateParamsNonStreaming);
    await expect(refusal).rejects.toMatchObject({
      status: 400,
      error: {
        type: 'error',
        error: { type: 'invalid_request_error', param: expect.stringContaining(param) as unknown },
      },
    });
  });

  it('is a wrong key, and a model that is not there', async () => {
    const stranger = new Anthropic({ apiKey: 'sk-wrong', baseURL: app.url, maxRetries: 0 });
    await expect(stranger.messages.create(ask)).rejects.toBeInstanceOf(Anthropic.AuthenticationError);
    await expect(client.messages.create({ ...ask, model: 'nobody' })).rejects.toBeInstanceOf(
      Anthropic.NotFoundError,
    );
    const bearer = new Anthropic({ authToken: KEY, apiKey: null, baseURL: app.url, maxRetries: 0 });
    answer('Hi');
    expect(await bearer.messages.create(ask)).toMatchObject({ content: [{ text: 'Hi' }] });
  });
});
