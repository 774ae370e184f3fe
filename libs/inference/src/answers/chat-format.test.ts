import { describe, expect, it } from 'vitest';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { type ChatRequest, ChatRequestSchema } from '#contracts/openai/chat-request.js';
import { finish, scored, start, tokens } from '../../../../test/support/engine-events.js';
import { ChatFormat } from './chat-format.js';

const HEAD = { id: 'x', created: 1700000000, model: 'support', system_fingerprint: 'cpu-0/abc/support@3' };
const USAGE = {
  prompt_tokens: 2,
  completion_tokens: 3,
  total_tokens: 5,
  prompt_tokens_details: { cached_tokens: 1 },
};
const request = (fields: object): ChatRequest =>
  ChatRequestSchema.parse({
    model: 'support',
    messages: [{ role: 'user', content: 'Hi' }],
    ...fields,
  }) as ChatRequest;

function whole(fields: object, ...sequences: GenerateEvent[][]) {
  const format = new ChatFormat(HEAD, request(fields));
  for (const [sequence, events] of sequences.entries())
    for (const event of events) format.add(sequence, event);
  return format.whole(USAGE);
}
function streamed(fields: object, events: GenerateEvent[]) {
  const format = new ChatFormat(HEAD, request({ stream: true, ...fields }));
  return events.flatMap((event) => format.chunks(0, event, () => USAGE));
}
const { id: _, ...head } = HEAD;
const CHUNK = { ...head, id: 'chatcmpl-x', object: 'chat.completion.chunk' };

describe('ChatFormat, whole', () => {
  it('is exactly the chat.completion object', () => {
    expect(whole({}, [start(), tokens('Hel', [7]), tokens('lo', [8]), finish({ text: '!' })])).toEqual({
      ...head,
      id: 'chatcmpl-x',
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello!', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
          stop_reason: null,
        },
      ],
      usage: USAGE,
    });
  });

  it('lists log-probabilities with bytes and alternatives', () => {
    const events = [start(), tokens('é', [7], [scored(7, 'é', -0.5, 'e')]), finish()];
    expect(whole({ logprobs: true, top_logprobs: 2 }, events).choices[0]?.logprobs).toEqual({
      content: [
        {
          token: 'é',
          logprob: -0.5,
          bytes: [195, 169],
          top_logprobs: [
            { token: 'é', logprob: -0.5, bytes: [195, 169] },
            { token: 'e', logprob: -1.5, bytes: [101] },
          ],
        },
      ],
      refusal: null,
    });
  });

  it('keeps n choices apart', () => {
    const answer = whole(
      { n: 2 },
      [tokens('a', [1]), finish()],
      [tokens('b', [2]), finish({ reason: 'length' })],
    );
    expect(
      answer.choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason]),
    ).toEqual([
      [0, 'a', 'stop'],
      [1, 'b', 'length'],
    ]);
  });

  it("adds token ids on request: the choice's own and the prompt's", () => {
    const answer = whole({ return_token_ids: true }, [start(2, [4, 5]), tokens('a', [7]), finish()]);
    expect(answer.prompt_token_ids).toEqual([4, 5]);
    expect(answer.choices[0]?.token_ids).toEqual([7]);
  });
});

describe('ChatFormat, streamed', () => {
  it('says the role first, then the text, then the end', () => {
    const events = [start(), tokens('Hi', [7]), tokens('', [8]), finish({ stopReason: 'END' })];
    const choice = { index: 0, logprobs: null, finish_reason: null };
    expect(streamed({}, events)).toEqual([
      { ...CHUNK, choices: [{ ...choice, delta: { role: 'assistant', content: '' } }] },
      { ...CHUNK, choices: [{ ...choice, delta: { content: 'Hi' } }] },
      { ...CHUNK, choices: [{ ...choice, delta: {}, finish_reason: 'stop', stop_reason: 'END' }] },
    ]);
  });

  it('has usage null in every chunk but the last with include_usage', () => {
    const format = new ChatFormat(HEAD, request({ stream: true, stream_options: { include_usage: true } }));
    const chunks = [start(), finish()].flatMap((event) => format.chunks(0, event, () => USAGE));
    expect(chunks.map(({ usage }) => usage)).toEqual([null, null]);
    expect(format.closing(USAGE)[0]).toEqual({ ...CHUNK, choices: [], usage: USAGE });
  });

  it('streams token ids and log-probabilities of tokens whose text is still held back', () => {
    const events = [start(2, [4]), tokens('', [7], [scored(7, 'H', -1)])];
    const [first, second] = streamed({ logprobs: true, return_token_ids: true }, events);
    expect(first?.prompt_token_ids).toEqual([4]);
    expect(second?.choices[0]).toMatchObject({ token_ids: [7], logprobs: { content: [{ token: 'H' }] } });
  });
});

const promptEvent = (): GenerateEvent => ({
  type: 'prompt',
  text: 'Hi you',
  tokens: [
    { id: 5, text: 'Hi', bytes: [72, 105], logprob: null, top: [], textOffset: 0 },
    {
      ...scored(6, ' you', -0.5, ' me'),
      textOffset: 2,
    },
  ],
});

describe("ChatFormat, vLLM's fields", () => {
  it('names tokens by their ids', () => {
    const events = [start(), tokens('a', [7], [scored(7, 'a', -0.5, 'e')]), finish()];
    const fields = { logprobs: true, top_logprobs: 2, return_tokens_as_token_ids: true };
    expect(whole(fields, events).choices[0]?.logprobs?.content[0]).toMatchObject({
      token: 'token_id:7',
      bytes: [97],
      top_logprobs: [{ token: 'token_id:7' }, { token: 'token_id:107' }],
    });
  });

  it('says the usage so far in every chunk', () => {
    const options = { include_usage: true, continuous_usage_stats: true };
    const chunks = streamed({ stream_options: options }, [start(), tokens('a', [7]), finish()]);
    expect(chunks.map(({ usage }) => usage)).toEqual([USAGE, USAGE, USAGE]);
    const without = streamed({ stream_options: { continuous_usage_stats: true } }, [tokens('a', [7])]);
    expect(without[0]).not.toHaveProperty('usage');
  });

  it("begins with the assistant's message that it goes on with, where that is to be repeated", () => {
    const messages = [
      { role: 'user', content: 'Tell' },
      { role: 'assistant', content: 'Once' },
    ];
    const fields = { messages, continue_final_message: true, echo: true };
    const events = [start(), tokens(' upon', [7]), finish()];
    expect(whole(fields, events).choices[0]?.message.content).toBe('Once upon');
    expect(
      streamed(fields, events)
        .map(({ choices }) => choices[0]?.delta.content ?? '')
        .join(''),
    ).toBe('Once upon');
    expect(whole({ echo: true }, events).choices[0]?.message.content).toBe(' upon');
  });

  it("lists the prompt's log-probabilities by token id", () => {
    const events = [start(), promptEvent(), tokens('a', [7]), finish()];
    expect(whole({ prompt_logprobs: 1 }, events).prompt_logprobs).toEqual([
      null,
      { 6: { logprob: -0.5, rank: 1, decoded_token: ' you' } },
    ]);
    expect(whole({ prompt_logprobs: 2 }, events).prompt_logprobs?.[1]).toHaveProperty('106', {
      logprob: -1.5,
      rank: 2,
      decoded_token: ' me',
    });
    expect(whole({}, events)).not.toHaveProperty('prompt_logprobs');
  });

  it('says the tier that was asked for', () => {
    expect(whole({ service_tier: 'auto' }, [finish()])).toHaveProperty('service_tier', 'default');
    expect(streamed({ service_tier: 'flex' }, [finish()])[0]).toHaveProperty('service_tier', 'flex');
    expect(whole({}, [finish()])).not.toHaveProperty('service_tier');
  });
});
