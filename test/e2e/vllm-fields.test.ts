import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { BadRequestError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { demoIndex } from '../support/demo.js';
import { type Stack, startStack } from '../support/stack.js';

type Messages = OpenAI.ChatCompletionMessageParam[];
type PromptLogprobs = (Record<
  string,
  { logprob: number; rank: number | null; decoded_token: string }
> | null)[];
interface Tokenized {
  readonly count: number;
  readonly max_model_len: number;
  readonly tokens: number[];
  readonly token_strs: string[] | null;
}

describe("vLLM's fields and endpoints, on the demo model", () => {
  const demo = demoIndex();
  const greedy = { model: demo.name, temperature: 0, max_tokens: 8 };
  const messages: Messages = [{ role: 'user', content: 'I was charged twice' }];
  let stack: Stack;
  let openai: OpenAI;
  let tenant: Client;

  const complete = async (fields: object) => {
    const body = { ...greedy, ...fields } as OpenAI.CompletionCreateParamsNonStreaming;
    const { choices } = await openai.completions.create(body);
    return choices[0] as OpenAI.CompletionChoice & {
      token_ids: number[];
      prompt_token_ids: number[];
      prompt_logprobs: PromptLogprobs;
    };
  };
  const chat = (fields: object) =>
    openai.chat.completions.create({
      ...greedy,
      messages,
      ...fields,
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);
  const tokenize = (body: object) => tenant.expect<Tokenized>(200, 'POST', '/tokenize', body);

  beforeAll(async () => {
    stack = await startStack();
    const apiKey = readFileSync(join(stack.dataDir, 'demo-key'), 'utf8').trim();
    openai = new OpenAI({ apiKey, baseURL: `${stack.url}/v1`, maxRetries: 0 });
    tenant = new Client(stack.url, apiKey);
  });
  afterAll(() => stack?.stop());

  it('tells the tokens that a request has, of text and of a chat, and their text', async () => {
    const prompt = 'Once upon a time <|im_end|>';
    const told = await tokenize({ model: demo.name, prompt, return_token_strs: true });
    const asked = await complete({ prompt, return_token_ids: true });
    expect(told.tokens).toEqual(asked.prompt_token_ids);
    expect(told).toMatchObject({ count: told.tokens.length, token_strs: { length: told.count } });
    expect((await tokenize({ prompt })).token_strs).toBeNull();
    const back = await tenant.expect<{ prompt: string }>(200, 'POST', '/detokenize', { tokens: told.tokens });
    expect(back.prompt).toContain(prompt);

    const chatTokens = (await tokenize({ model: demo.adapters[0]?.name, messages })).tokens;
    const answer = await chat({ model: demo.adapters[0]?.name, return_token_ids: true });
    expect(chatTokens).toEqual((answer as unknown as { prompt_token_ids: number[] }).prompt_token_ids);
    const open = await tokenize({ messages, add_generation_prompt: false });
    expect(open.count).toBeLessThan(chatTokens.length);

    const long = await tokenize({ prompt: 'word '.repeat(told.max_model_len + 50) });
    expect(long.count).toBeGreaterThan(long.max_model_len);
    for (const [body, param] of [
      [{}, 'prompt'],
      [{ prompt: 'x', messages }, 'messages'],
      [{ prompt: 'x', tools: [] }, 'tools'],
      [{ messages, add_special_tokens: true }, 'add_special_tokens'],
    ] as const)
      await tenant
        .expect(400, 'POST', '/tokenize', body)
        .then((told) => expect(told).toMatchObject({ error: { param } }));
    await tenant.expect(404, 'POST', '/tokenize', { model: 'nobody', prompt: 'x' });
    await tenant.expect(400, 'POST', '/detokenize', { tokens: [99_999_999] });
  });

  it("answers Anthropic's messages with the tokens that a chat has", async () => {
    const anthropic = new Anthropic({ apiKey: tenant.key, baseURL: stack.url, maxRetries: 0 });
    const body = {
      model: demo.adapters[0]?.name ?? '',
      messages: [{ role: 'user' as const, content: 'Hi there' }],
    };
    const { input_tokens } = await anthropic.messages.countTokens(body);
    expect(input_tokens).toBe((await tokenize(body)).count);
    const sampling = { temperature: 0 };
    const greedyBody = { ...body, max_tokens: 8, ...sampling };
    const whole = await anthropic.messages.create(greedyBody);
    const same = await openai.chat.completions.create({ ...greedyBody });
    expect(whole.content.map((block) => (block.type === 'text' ? block.text : '')).join('')).toBe(
      same.choices[0]?.message.content,
    );
    const { usage } = whole;
    expect(usage.input_tokens + (usage.cache_read_input_tokens ?? 0)).toBe(input_tokens);
    const streamed = await anthropic.messages.stream(greedyBody).finalMessage();
    expect(streamed.content).toEqual(whole.content);
    expect(streamed.usage.output_tokens).toBe(usage.output_tokens);
  });

  it('goes on with the last message, as if it had been generated so far', async () => {
    const whole = await chat({ max_tokens: 12, return_token_ids: true });
    const text = whole.choices[0]?.message.content ?? '';
    expect(text.trim()).not.toBe('');
    const cut = text.indexOf(' ', 3);
    const begun = [...messages, { role: 'assistant' as const, content: text.slice(0, cut) }];
    const fields = { messages: begun, continue_final_message: true, add_generation_prompt: false };
    const rest = (await chat({ ...fields, max_tokens: 4 })).choices[0]?.message.content ?? '';
    expect(rest).not.toBe('');
    expect(text.slice(cut)).toMatch(new RegExp(`^${rest.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`));
    const echoed = (await chat({ ...fields, max_tokens: 4, echo: true })).choices[0]?.message.content;
    expect(echoed).toBe(text.slice(0, cut) + rest);
    await expect(chat({ ...fields, add_generation_prompt: true })).rejects.toMatchObject({
      param: 'continue_final_message',
    });
  });

  it('draws only allowed tokens, and no bad word', async () => {
    const plain = await complete({ prompt: 'Hello', return_token_ids: true });
    const allowed = [plain.token_ids[0], plain.token_ids[1]];
    const bound = await complete({
      prompt: 'Hello',
      allowed_token_ids: allowed,
      return_token_ids: true,
      n: 1,
    });
    expect(bound.token_ids.every((id) => allowed.includes(id))).toBe(true);
    const word = plain.text.trim().split(/\s+/)[0] as string;
    const without = await complete({ prompt: 'Hello', bad_words: [word], return_token_ids: true });
    expect(without.token_ids).not.toEqual(plain.token_ids);
    await expect(complete({ prompt: 'x', allowed_token_ids: [99_999_999] })).rejects.toMatchObject({
      status: 400,
      param: 'allowed_token_ids',
    });
  });

  it('cuts a prompt to its last tokens', async () => {
    const words = 'one two three four five six seven eight nine ten '.repeat(400);
    await expect(complete({ prompt: words })).rejects.toBeInstanceOf(BadRequestError);
    const { tokens, max_model_len } = await tokenize({ prompt: words });
    const kept = await complete({ prompt: words, truncate_prompt_tokens: 10, return_token_ids: true });
    expect(kept.prompt_token_ids).toEqual(tokens.slice(-10));
    expect((await complete({ prompt: tokens.slice(-10) })).text).toBe(kept.text);
    const filled = await complete({ prompt: words, truncate_prompt_tokens: -1, return_token_ids: true });
    expect(filled.prompt_token_ids).toHaveLength(max_model_len - greedy.max_tokens);
    const echoed = await complete({ prompt: words, truncate_prompt_tokens: 10, echo: true });
    expect(echoed.text).toMatch(/ten ?/);
    expect(echoed.text.length).toBeLessThan(200);
  });

  it('drops the oldest of a conversation without room, where the request says so', async () => {
    const long = 'one two three four five six seven eight nine ten '.repeat(60);
    const input = Array.from({ length: 40 }, (_, at) => ({
      role: at % 2 === 0 ? ('user' as const) : ('assistant' as const),
      content: at < 38 ? long : 'Hi',
    }));
    const ask = (fields: object) =>
      openai.responses.create({ model: demo.name, max_output_tokens: 8, temperature: 0, input, ...fields });
    await expect(ask({})).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const auto = await ask({ truncation: 'auto' });
    const last = await ask({ input: input.slice(-2) });
    const context = (await tokenize({ prompt: 'x' })).max_model_len;
    expect(auto.usage?.input_tokens).toBeGreaterThan(last.usage?.input_tokens ?? 0);
    expect(auto.usage?.input_tokens).toBeLessThanOrEqual(context - 8);
  });

  it("lists the prompt's log-probabilities as an echo has them", async () => {
    const prompt = 'Once upon a time';
    const { prompt_logprobs: listed, text } = await complete({ prompt, prompt_logprobs: 2 });
    const echoed = await complete({ prompt, echo: true, logprobs: 2, max_tokens: 8 });
    expect(echoed.text).toBe(prompt + text);
    const { tokens } = await tokenize({ prompt });
    expect(listed).toHaveLength(tokens.length);
    expect(listed[0]).toBeNull();
    const own = tokens.slice(1).map((id, at) => listed[at + 1]?.[id]?.logprob);
    expect(own).toEqual(echoed.logprobs?.token_logprobs?.slice(1, tokens.length));
    const ofChat = (await chat({ prompt_logprobs: 0 })) as unknown as { prompt_logprobs: PromptLogprobs };
    expect(ofChat.prompt_logprobs.length).toBe((await tokenize({ messages })).count);
  });

  it('names tokens by id, shows special tokens, and counts in every chunk', async () => {
    const named = await complete({
      prompt: 'Hi',
      logprobs: 1,
      return_tokens_as_token_ids: true,
      return_token_ids: true,
    });
    expect(named.logprobs?.tokens).toEqual(named.token_ids.map((id) => `token_id:${id}`));
    const special = await complete({
      prompt: 'Hi',
      max_tokens: 200,
      include_stop_str_in_output: true,
      skip_special_tokens: false,
    });
    const plain = await complete({ prompt: 'Hi', max_tokens: 200 });
    expect(special.text.startsWith(plain.text)).toBe(true);
    const stream = await openai.chat.completions.create({
      ...greedy,
      messages,
      stream: true,
      stream_options: {
        include_usage: true,
        continuous_usage_stats: true,
      } as OpenAI.ChatCompletionStreamOptions,
    });
    const usages: (OpenAI.CompletionUsage | null | undefined)[] = [];
    for await (const { usage } of stream) usages.push(usage);
    const counts = usages.map((usage) => usage?.completion_tokens ?? -1);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.every((count) => count >= 0)).toBe(true);
    expect(usages.at(-1)).toEqual(usages.at(-2));
  });

  it('takes priority, tiers, salts and documents; a salt keeps prefixes apart', async () => {
    const prompt = 'a prefix that is long enough to be kept in the cache, '.repeat(4);
    const cached = async (fields: object) => {
      const body = { ...greedy, prompt, ...fields } as OpenAI.CompletionCreateParamsNonStreaming;
      return (await openai.completions.create(body)).usage?.prompt_tokens_details?.cached_tokens;
    };
    await cached({ cache_salt: 'one' });
    expect(await cached({ cache_salt: 'one' })).toBeGreaterThan(0);
    expect(await cached({ cache_salt: 'two' })).toBe(0);
    const answer = await chat({ priority: -5, service_tier: 'flex', documents: [{ title: 'a', text: 'b' }] });
    expect(answer.service_tier).toBe('flex');
  });

  it('answers the same with a prediction, and says what came of it, should it have paid to check', async () => {
    const answer = await chat({ max_tokens: 24 });
    const content = answer.choices[0]?.message.content ?? '';
    const predicted = await chat({ max_tokens: 24, prediction: { type: 'content', content } });
    expect(predicted.choices[0]?.message.content).toBe(content);
    const details = predicted.usage?.completion_tokens_details;
    expect(details).toMatchObject({
      accepted_prediction_tokens: expect.any(Number) as number,
      rejected_prediction_tokens: expect.any(Number) as number,
    });
    expect(answer.usage?.completion_tokens_details).toBeUndefined();
  });
});
