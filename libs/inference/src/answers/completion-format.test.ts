import { describe, expect, it } from 'vitest';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { type CompletionRequest, CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { finish, scored, start, tokens } from '../../../../test/support/engine-events.js';
import { CompletionFormat } from './completion-format.js';

const HEAD = { id: 'x', created: 1700000000, model: 'support', system_fingerprint: 'cpu-0/abc/support@3' };
const USAGE = {
  prompt_tokens: 2,
  completion_tokens: 3,
  total_tokens: 5,
  prompt_tokens_details: { cached_tokens: 1 },
};
const request = (fields: object): CompletionRequest =>
  CompletionRequestSchema.parse({ model: 'support', prompt: 'Say', ...fields }) as CompletionRequest;

function whole(fields: object, ...sequences: GenerateEvent[][]) {
  const format = new CompletionFormat(HEAD, request(fields));
  for (const [sequence, events] of sequences.entries())
    for (const event of events) format.add(sequence, event);
  return format.whole(USAGE);
}
function streamed(fields: object, events: GenerateEvent[]) {
  const format = new CompletionFormat(HEAD, request({ stream: true, ...fields }));
  return events.flatMap((event) => format.chunks(0, event, () => USAGE));
}
const OBJECT = {
  id: 'cmpl-x',
  object: 'text_completion',
  created: 1700000000,
  model: 'support',
  system_fingerprint: 'cpu-0/abc/support@3',
};
const CHOICE = { index: 0, logprobs: null, stop_reason: null };
const SCORED = [tokens('Hé', [7, 8], [scored(7, 'H', -0.5, 'J'), scored(8, 'é', -0.25, 'e')]), finish()];

describe('CompletionFormat, whole', () => {
  it('is exactly the text_completion object', () => {
    const events = [start(), tokens('Hi', [7]), tokens(' you', [8, 9]), finish({ text: '!' })];
    expect(whole({}, events)).toEqual({
      ...OBJECT,
      choices: [{ ...CHOICE, text: 'Hi you!', finish_reason: 'stop' }],
      usage: USAGE,
    });
  });

  it('names the stop string or token that ended the text', () => {
    const answer = whole({}, [start(), finish({ stopReason: 'END' })]);
    expect(answer.choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: 'END', text: '' });
  });

  it('lists the log-probabilities in parallel, with offsets in code points', () => {
    const events = [start(), tokens('😀', [5], [scored(5, '😀', -1)]), ...SCORED];
    expect(whole({ logprobs: 1 }, events).choices[0]?.logprobs).toEqual({
      tokens: ['😀', 'H', 'é'],
      token_logprobs: [-1, -0.5, -0.25],
      top_logprobs: [{ '😀': -1 }, { H: -0.5, J: -1.5 }, { é: -0.25, e: -1.25 }],
      text_offset: [0, 1, 2],
    });
  });

  it("names half a character by its bytes and starts the next token at the character's end", () => {
    const half = (id: number, bytes: number[]) => ({ id, text: '\uFFFD', bytes, logprob: -1, top: [] });
    const events = [
      tokens('☃a', [1, 2, 3], [half(1, [0xe2, 0x98]), half(2, [0x83]), scored(3, 'a', -1)]),
      finish(),
    ];
    expect(whole({ logprobs: 0 }, events).choices[0]?.logprobs).toMatchObject({
      tokens: ['bytes:\\xe2\\x98', 'bytes:\\x83', 'a'],
      text_offset: [0, 0, 1],
    });
  });

  it('counts no special token among the offsets, since it is no part of the text', () => {
    const special = { ...scored(9, '<|end|>', -1), notInText: true as const };
    const events = [
      start(),
      tokens('a', [1, 9], [scored(1, 'a', -1), special]),
      tokens('b', [2], [scored(2, 'b', -1)]),
    ];
    const [choice] = whole({ logprobs: 0 }, [...events, finish()]).choices;
    expect(choice).toMatchObject({
      text: 'ab',
      logprobs: { tokens: ['a', '<|end|>', 'b'], text_offset: [0, 1, 1] },
    });
  });

  it('echoes the given text before the completion', () => {
    const events = [start(), tokens('!', [7]), finish()];
    expect(whole({ echo: true }, events).choices[0]?.text).toBe('Say!');
  });

  it("echoes the prompt with its log-probabilities, the first null, and goes on counting the completion's offsets", () => {
    const prompt: GenerateEvent = {
      type: 'prompt',
      text: '<s>Say',
      tokens: [
        { id: 1, text: '<s>', bytes: [...Buffer.from('<s>')], logprob: null, top: [], textOffset: 0 },
        { ...scored(2, 'Say', -2, 'Hey'), textOffset: 3 },
      ],
    };
    const [choice] = whole({ echo: true, logprobs: 1, max_tokens: 2 }, [start(), prompt, ...SCORED]).choices;
    expect(choice?.text).toBe('<s>SayHé');
    expect(choice?.logprobs).toEqual({
      tokens: ['<s>', 'Say', 'H', 'é'],
      token_logprobs: [null, -2, -0.5, -0.25],
      top_logprobs: [null, { Say: -2, Hey: -3 }, { H: -0.5, J: -1.5 }, { é: -0.25, e: -1.25 }],
      text_offset: [0, 3, 6, 7],
    });
  });

  it('adds token ids on request', () => {
    const events = [start(2, [4, 5]), tokens('a', [7, 8]), tokens('', [9]), finish()];
    expect(whole({ return_token_ids: true }, events).choices[0]).toMatchObject({
      token_ids: [7, 8, 9],
      prompt_token_ids: [4, 5],
    });
  });

  it('numbers the choices of several prompts in order', () => {
    const sequences = ['a', 'b', 'c', 'd'].map((text) => [start(), tokens(text, [1]), finish()]);
    const { choices } = whole({ prompt: ['x', 'y'], n: 2 }, ...sequences);
    expect(choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
      [3, 'd'],
    ]);
  });

  it("answers the likeliest per token of best_of candidates, without log-probabilities that weren't asked for", () => {
    const candidate = (text: string, logprob: number) => [
      start(),
      tokens(text, [1], [scored(1, text, logprob)]),
      finish(),
    ];
    const { choices } = whole(
      { prompt: ['x', 'y'], best_of: 2 },
      candidate('bad', -3),
      candidate('good', -1),
      candidate('better', -1),
      candidate('worse', -2),
    );
    expect(choices.map(({ text, logprobs }) => [text, logprobs])).toEqual([
      ['good', null],
      ['better', null],
    ]);
    const beams = whole(
      { prompt: 'x', best_of: 2, use_beam_search: true },
      candidate('first', -3),
      candidate('second', -1),
    );
    expect(beams.choices.map(({ text }) => text)).toEqual(['first']);
  });
});

describe('CompletionFormat, streamed', () => {
  it('is a text_completion for each piece of text, then the end', () => {
    const events = [start(), tokens('Hi', [7]), tokens('', [8]), finish({ reason: 'length', text: '.' })];
    expect(streamed({}, events)).toEqual([
      { ...OBJECT, choices: [{ ...CHOICE, text: 'Hi', finish_reason: null }] },
      { ...OBJECT, choices: [{ ...CHOICE, text: '.', finish_reason: 'length' }] },
    ]);
  });

  it('has usage null in every chunk but the last with include_usage', () => {
    const fields = { stream: true, stream_options: { include_usage: true } };
    const format = new CompletionFormat(HEAD, request(fields));
    const chunks = [tokens('a', [1]), finish()].flatMap((event) => format.chunks(0, event, () => USAGE));
    expect(chunks.map(({ usage }) => usage)).toEqual([null, null]);
    expect(format.closing(USAGE)[0]).toEqual({ ...OBJECT, choices: [], usage: USAGE });
  });

  it('joins to the same choice as the whole answer', () => {
    const fields = { logprobs: 1, return_token_ids: true };
    const events = [start(2, [4, 5]), ...SCORED];
    const chunks = streamed(fields, events).map(({ choices }) => choices[0]);
    const [choice] = whole(fields, events).choices;
    expect(chunks.map((chunk) => chunk?.text).join('')).toBe(choice?.text);
    expect(chunks.flatMap((chunk) => chunk?.token_ids ?? [])).toEqual(choice?.token_ids);
    expect(chunks.flatMap((chunk) => chunk?.prompt_token_ids ?? [])).toEqual(choice?.prompt_token_ids);
    expect(chunks.flatMap((chunk) => chunk?.logprobs?.text_offset ?? [])).toEqual(
      choice?.logprobs?.text_offset,
    );
  });
});

const promptEvent = (): GenerateEvent => ({
  type: 'prompt',
  text: 'Say it',
  tokens: [
    { id: 5, text: 'Say', bytes: [83, 97, 121], logprob: null, top: [], textOffset: 0 },
    { ...scored(6, ' it', -0.5, ' me'), textOffset: 3 },
  ],
});

describe("CompletionFormat, the prompt's log-probabilities", () => {
  const events = [start(), promptEvent(), tokens('!', [7], [scored(7, '!', -0.25, '?')]), finish()];
  const listed = [null, { 6: { logprob: -0.5, rank: 1, decoded_token: ' it' } }];

  it('stand by token id beside a text that does not repeat the prompt', () => {
    const { choices } = whole({ prompt_logprobs: 1 }, events);
    expect(choices[0]).toMatchObject({ text: '!', logprobs: null, prompt_logprobs: listed });
  });

  it('go with an echo, which lists its own number of alternatives', () => {
    const { choices } = whole({ prompt_logprobs: 1, echo: true, logprobs: 0 }, events);
    expect(choices[0]).toMatchObject({ text: 'Say it!', prompt_logprobs: listed });
    expect(choices[0]?.logprobs?.top_logprobs).toEqual([null, { ' it': -0.5 }, { '!': -0.25, '?': -1.25 }]);
    expect(whole({ prompt_logprobs: 0, echo: true }, events).choices[0]?.text).toBe('Say it!');
  });

  it('names tokens by id everywhere', () => {
    const fields = { echo: true, logprobs: 1, return_tokens_as_token_ids: true };
    expect(whole(fields, events).choices[0]?.logprobs).toMatchObject({
      tokens: ['token_id:5', 'token_id:6', 'token_id:7'],
      top_logprobs: [null, { 'token_id:6': -0.5 }, { 'token_id:7': -0.25 }],
      text_offset: [0, 3, 6],
    });
  });
});

it('says the usage so far in every chunk of a completion', () => {
  const options = { include_usage: true, continuous_usage_stats: true };
  const chunks = streamed({ stream_options: options }, [start(), tokens('a', [7]), finish()]);
  expect(chunks.map(({ usage }) => usage)).toEqual([USAGE, USAGE]);
});
