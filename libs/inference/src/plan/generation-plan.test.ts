import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';
import { describe, expect, it } from 'vitest';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { type ChatRequest, ChatRequestSchema } from '#contracts/openai/chat-request.js';
import { type CompletionRequest, CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { planChat } from './chat-plan.js';
import { planCompletion } from './completion-plan.js';

const completion = (fields: object) =>
  planCompletion(CompletionRequestSchema.parse({ model: 'm', prompt: 'p', ...fields }) as CompletionRequest);
const chat = (fields: object) =>
  planChat(
    ChatRequestSchema.parse({
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
      ...fields,
    }) as ChatRequest,
  );
const requests = (plan: ReturnType<typeof completion>) => plan.sequences.map(({ request }) => request);

describe('planCompletion', () => {
  it("fills in OpenAI's defaults", () => {
    expect(completion({})).toEqual({
      model: 'm',
      user: undefined,
      promptField: 'prompt',
      sequences: [
        {
          prompt: 0,
          request: {
            input: { kind: 'text', text: 'p' },
            maxTokens: 16,
            minTokens: 0,
            ignoreEos: false,
            stop: [],
            stopTokenIds: [],
            includeStop: false,
            returnPromptTokens: false,
            sampling: {
              temperature: 1,
              topP: 1,
              minP: 0,
              repetitionPenalty: 1,
              presencePenalty: 0,
              frequencyPenalty: 0,
              logitBias: [],
            },
            defaulted: ['temperature', 'topP', 'topK', 'minP', 'repetitionPenalty', 'maxTokens'],
          },
        },
      ],
    });
  });

  it('passes every sampling field on', () => {
    const fields = {
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.1,
      presence_penalty: 1,
      frequency_penalty: -1,
      repetition_penalty: 1.2,
      logit_bias: { 5: -100 },
      seed: 7,
      max_tokens: 3,
      min_tokens: 2,
      ignore_eos: true,
      stop: 'x',
      stop_token_ids: [9],
      include_stop_str_in_output: true,
      return_token_ids: true,
      logprobs: 3,
    };
    expect(requests(completion(fields))[0]).toMatchObject({
      maxTokens: 3,
      minTokens: 2,
      ignoreEos: true,
      stop: ['x'],
      stopTokenIds: [9],
      includeStop: true,
      returnPromptTokens: true,
      logprobs: 3,
      sampling: {
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        minP: 0.1,
        presencePenalty: 1,
        frequencyPenalty: -1,
        repetitionPenalty: 1.2,
        seed: 7,
        logitBias: [{ token: 5, bias: -100 }],
      },
    });
  });

  it('reads top_k -1 and 0 as all tokens', () => {
    for (const top_k of [-1, 0])
      expect(requests(completion({ top_k }))[0]?.sampling).not.toHaveProperty('topK');
  });

  it('gives alternatives consecutive seeds, the same for every prompt', () => {
    const plan = completion({ prompt: ['a', 'b'], n: 2, seed: 5 });
    expect(plan.sequences.map(({ prompt, request }) => [prompt, request.sampling.seed])).toEqual([
      [0, 5],
      [0, 6],
      [1, 5],
      [1, 6],
    ]);
  });

  it('keeps every bit of a seed, and stays within 64 of them', () => {
    const seeds = (seed: bigint) => requests(completion({ n: 2, seed })).map(({ sampling }) => sampling.seed);
    expect(seeds(2n ** 53n + 1n)).toEqual(['9007199254740993', '9007199254740994']);
    expect(seeds(2n ** 63n - 1n)).toEqual(['9223372036854775807', '-9223372036854775808']);
  });

  it('takes top_p 0, empty stops and prompts without special tokens as OpenAI and vLLM do', () => {
    const [request] = requests(completion({ top_p: 0, stop: ['', 'x'], add_special_tokens: false }));
    expect(request?.sampling.topP).toBeGreaterThan(0);
    expect(request?.sampling.topP).toBeLessThan(1e-6);
    expect(request?.stop).toEqual(['x']);
    expect(request?.input).toEqual({ kind: 'text', text: 'p', addSpecialTokens: false });
    expect(requests(completion({ stop: '' }))[0]?.stop).toEqual([]);
  });

  it('scores candidates when it must pick the best of them', () => {
    expect(requests(completion({ best_of: 3 })).map(({ logprobs }) => logprobs)).toEqual([0, 0, 0]);
    expect(requests(completion({ best_of: 2, n: 2 }))[0]).not.toHaveProperty('logprobs');
    const beams = requests(
      completion({ best_of: 3, use_beam_search: true, seed: 7, temperature: 0, early_stopping: 'never' }),
    );
    expect(beams).toHaveLength(3);
    expect(beams[0]).not.toHaveProperty('logprobs');
    expect(beams[0]).toMatchObject({
      beam: { lengthPenalty: 1, earlyStopping: 'never' },
      sampling: NEUTRAL_SAMPLING,
      defaulted: ['maxTokens'],
    });
  });

  it('scores the prompt only where echo needs it', () => {
    expect(requests(completion({ echo: true }))[0]).not.toHaveProperty('promptLogprobs');
    expect(requests(completion({ logprobs: 2 }))[0]).not.toHaveProperty('promptLogprobs');
    expect(requests(completion({ echo: true, logprobs: 2 }))[0]?.promptLogprobs).toBe(2);
    expect(requests(completion({ echo: true, prompt: [1, 2] }))[0]?.promptLogprobs).toBe(0);
  });
});

describe('planChat', () => {
  it('runs to the end of the context by default', () => {
    expect(requests(chat({}))[0]).not.toHaveProperty('maxTokens');
    expect(requests(chat({ max_tokens: 4 }))[0]?.maxTokens).toBe(4);
    expect(requests(chat({ max_completion_tokens: 5 }))[0]?.maxTokens).toBe(5);
  });

  it('gives the template messages as it knows them', () => {
    const messages = [
      { role: 'developer', content: 'd' },
      {
        role: 'user',
        name: 'ann',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
      },
      { role: 'tool', content: '4', tool_call_id: 'c' },
      { role: 'assistant', content: null, id: 'msg_1', type: 'message', weight: 1 },
      { role: 'assistant', content: 'a', reasoning: 'why' },
    ];
    const fields = { messages, chat_template_kwargs: { thinking: true }, add_generation_prompt: false };
    const [planned] = requests(chat(fields));
    expect(planned?.input).toMatchObject({ messageCount: 6, hasTools: false, addGenerationPrompt: false });
    expect(conversationOf(planned?.input)).toEqual({
      messages: [
        { role: 'system', content: 'd' },
        { role: 'user', name: 'ann', content: 'a\nb' },
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: { x: 1 } } }],
        },
        { role: 'tool', content: '4', tool_call_id: 'c' },
        { role: 'assistant', content: '' },
        { role: 'assistant', content: 'a', reasoning: 'why', reasoning_content: 'why' },
      ],
      arguments: { thinking: true },
    });
  });

  it("keeps the spelling of a tool call's numbers, and takes no arguments for an empty object", () => {
    const call = (text: string) => ({ id: 'c', index: 0, function: { name: 'f', arguments: text } });
    const numbers = '{"a": 1.0, "b": 12345678901234567890}';
    const messages = [{ role: 'assistant', tool_calls: [call(numbers), call('')] }];
    const [planned] = requests(chat({ messages }));
    expect(planned?.input).toMatchObject({
      conversation:
        '{"messages":[{"role":"assistant","content":"","tool_calls":[' +
        `{"id":"c","type":"function","function":{"name":"f","arguments":${numbers}}},` +
        '{"id":"c","type":"function","function":{"name":"f","arguments":{}}}]}]}',
    });
  });

  it('takes max_completion_tokens before max_tokens, as vLLM does', () => {
    expect(requests(chat({ max_tokens: 4, max_completion_tokens: 9 }))[0]?.maxTokens).toBe(9);
  });

  it('hands reasoning on, and nothing of what is only carried along', () => {
    const messages = [
      { type: 'message', id: 'm', weight: 1, role: 'assistant', content: 'a', reasoning_content: 'r' },
      { role: 'assistant', content: 'b', reasoning: 's' },
    ];
    expect(conversationOf(requests(chat({ messages }))[0]?.input)).toEqual({
      messages: [
        { role: 'assistant', content: 'a', reasoning_content: 'r' },
        { role: 'assistant', content: 'b', reasoning: 's', reasoning_content: 's' },
      ],
    });
  });

  it('refuses tool call arguments that are no JSON object, naming the field', () => {
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '[1' } };
    const messages = [{ role: 'assistant', content: null, tool_calls: [call] }];
    expect(() => chat({ messages })).toThrow(
      'messages[0].tool_calls[0].function.arguments: expected a JSON object as text',
    );
  });

  it('asks for log-probabilities only when logprobs is true', () => {
    expect(requests(chat({ logprobs: true }))[0]?.logprobs).toBe(0);
    expect(requests(chat({ logprobs: true, top_logprobs: 4 }))[0]?.logprobs).toBe(4);
    expect(requests(chat({ logprobs: false }))[0]).not.toHaveProperty('logprobs');
  });
});

function conversationOf(input: GenerateRequest['input'] | undefined): unknown {
  return input?.kind === 'chat' ? JSON.parse(input.conversation) : undefined;
}

describe("vLLM's fields of both requests", () => {
  const fields = {
    allowed_token_ids: [3, 4],
    bad_words: ['no'],
    skip_special_tokens: false,
    prompt_logprobs: 2,
    truncate_prompt_tokens: 5,
    priority: -7,
    service_tier: 'flex',
    cache_salt: 'mine',
  };

  it.each([
    ['a completion', completion],
    ['a chat', chat],
  ])('go to the engine with %s', (_, plan) => {
    const planned = plan(fields);
    expect(planned.cacheSalt).toBe('mine');
    expect(requests(planned)[0]).toMatchObject({
      allowedTokenIds: [3, 4],
      badWords: ['no'],
      shownSpecialTokens: 'all',
      promptLogprobs: 2,
      keepPromptTokens: 5,
      priority: -7, // goes before the tier
    });
    expect(requests(plan({ truncate_prompt_tokens: -1 }))[0]).toMatchObject({ keepPromptTokens: 'room' });
  });

  it('order by tier where there is no priority', () => {
    const priorityOf = (service_tier: string) => requests(completion({ service_tier }))[0]?.priority ?? 0;
    expect(priorityOf('priority')).toBeLessThan(priorityOf('auto'));
    expect(priorityOf('flex')).toBeGreaterThan(priorityOf('default'));
  });

  it.each([
    ['allowed_token_ids', []],
    ['allowed_token_ids', [1.5]],
    ['bad_words', ['']],
    ['truncate_prompt_tokens', 0],
    ['prompt_logprobs', 21],
    ['cache_salt', ''],
    ['service_tier', 'gold'],
    ['priority', 0.5],
  ])('are refused where %s is %j', (field, value) => {
    const { error } = CompletionRequestSchema.safeParse({ model: 'm', prompt: 'p', [field]: value });
    expect(error?.issues[0]?.path[0]).toBe(field);
  });

  it('name the tokens whose log-probabilities are wanted, where any are', () => {
    const logprob_token_ids = [7, 5];
    const wanted = { logprobs: 0, logprobTokenIds: [7, 5] };
    expect(requests(completion({ logprobs: 0, logprob_token_ids }))[0]).toMatchObject(wanted);
    expect(requests(chat({ logprobs: true, logprob_token_ids }))[0]).toMatchObject(wanted);
    for (const more of [
      {},
      { logprobs: 1, echo: true },
      { logprobs: 1, logprob_token_ids: Array(21).fill(1) },
    ]) {
      const body = { model: 'm', prompt: 'p', logprob_token_ids, ...more };
      expect(CompletionRequestSchema.safeParse(body).error?.issues[0]?.path[0]).toBe('logprob_token_ids');
    }
  });

  it('do not score a prompt in a stream', () => {
    const body = { model: 'm', prompt: 'p', prompt_logprobs: 0, stream: true };
    expect(CompletionRequestSchema.safeParse(body).error?.issues[0]?.path).toEqual(['prompt_logprobs']);
  });
});

describe('a chat that goes on with its last message', () => {
  const inputOf = (fields: object) => requests(chat(fields))[0]?.input;

  it('has no generation prompt', () => {
    expect(inputOf({ continue_final_message: true })).toMatchObject({
      addGenerationPrompt: false,
      continueFinalMessage: true,
    });
    const both = { continue_final_message: true, add_generation_prompt: true };
    const body = { model: 'm', messages: [{ role: 'user', content: 'x' }], ...both };
    expect(ChatRequestSchema.safeParse(body).error?.issues[0]?.path).toEqual(['continue_final_message']);
  });

  it('hands documents to the template, by one way only', () => {
    const documents = [{ title: 'T', text: 'x' }];
    expect(JSON.parse((inputOf({ documents }) as { conversation: string }).conversation)).toMatchObject({
      documents,
    });
    const body = { model: 'm', messages: [{ role: 'user', content: 'x' }] };
    const twice = { ...body, documents, chat_template_kwargs: { documents } };
    expect(ChatRequestSchema.safeParse(twice).error?.issues[0]?.path).toEqual(['chat_template_kwargs']);
  });
});
