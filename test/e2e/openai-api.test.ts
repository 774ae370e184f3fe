import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Client, makeTenant } from '../support/client.js';
import { demoIndex } from '../support/demo.js';
import { type Stack, startStack } from '../support/stack.js';

/** Fields of vLLM that the client's types do not know. */
interface MoreOfChoice {
  readonly token_ids: number[];
  readonly prompt_token_ids: number[];
  readonly stop_reason: string | number | null;
}
type Completion = OpenAI.Completion;
const more = (choice: unknown): MoreOfChoice => choice as MoreOfChoice;

describe('the OpenAI-compatible API', () => {
  const demo = demoIndex();
  const adapter = demo.adapters[0]?.name ?? '';
  const greedy = { model: demo.name, temperature: 0, max_tokens: 12 };
  let stack: Stack;
  let openai: OpenAI;
  let tenant: Client;

  const complete = (fields: object): Promise<Completion> =>
    openai.completions.create({ ...greedy, ...fields } as OpenAI.CompletionCreateParamsNonStreaming);
  const first = async (fields: object) => {
    const { choices } = await complete(fields);
    return choices[0] as Completion['choices'][number];
  };

  beforeAll(async () => {
    stack = await startStack();
    const apiKey = readFileSync(join(stack.dataDir, 'demo-key'), 'utf8').trim();
    openai = new OpenAI({ apiKey, baseURL: `${stack.url}/v1`, maxRetries: 0 });
    tenant = new Client(stack.url, apiKey);
  });
  afterAll(() => stack?.stop());

  it('lists the base model and every demo adapter, and finds each by name, version and alias', async () => {
    const names = (await openai.models.list()).data.map(({ id }) => id);
    expect(names).toEqual(expect.arrayContaining([demo.name, ...demo.adapters.map(({ name }) => name)]));
    for (const name of [adapter, `${adapter}@1`, `${adapter}:latest`, `demo/${adapter}`])
      expect((await openai.models.retrieve(name)).id).toBe(name);
    await expect(openai.models.retrieve(`${adapter}@99`)).rejects.toBeInstanceOf(NotFoundError);
  });

  it('streams the same text as it answers whole, for every adapter', async () => {
    for (const { name, example } of demo.adapters) {
      const messages = [...example.messages] as OpenAI.ChatCompletionMessageParam[];
      const request = { model: name, messages, temperature: 0, max_tokens: 80 };
      const whole = await openai.chat.completions.create(request);
      const stream = openai.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
      const streamed = await stream.finalChatCompletion();
      expect(streamed.choices[0]?.message.content).toBe(whole.choices[0]?.message.content);
      expect(streamed.usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
      expect(whole.system_fingerprint).toContain(`/${name}@1`);
    }
  });

  it('answers every form of prompt alike, and each of many as alone', async () => {
    const alone = await first({ prompt: 'Good morning', return_token_ids: true });
    const ids = more(alone).prompt_token_ids;
    const texts = await Promise.all(
      [{ prompt: ids }, { prompt: [ids] }, { prompt: ['Good morning'] }].map(first),
    );
    expect(texts.map(({ text }) => text)).toEqual([alone.text, alone.text, alone.text]);
    const many = await complete({ prompt: ['Good morning', 'The order'], n: 2 });
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(many.choices[1]?.text).toBe(alone.text);
    expect(many.choices[2]?.text).toBe((await first({ prompt: 'The order' })).text);
  });

  it('repeats itself under a seed and gives alternatives of their own', async () => {
    const sampled = { prompt: 'Good', temperature: 1.5, seed: 11, n: 4, max_tokens: 16, ignore_eos: true };
    const texts = async () => (await complete(sampled)).choices.map(({ text }) => text);
    const once = await texts();
    expect(await texts()).toEqual(once);
    expect(new Set(once).size).toBeGreaterThan(1);
    const second = await first({ ...sampled, n: 1, seed: 12 });
    expect(second.text).toBe(once[1]);
  });

  it('scores the echoed prompt, with offsets that point into the text', async () => {
    const fields = {
      prompt: 'Good morning, order 12',
      echo: true,
      logprobs: 2,
      max_tokens: 3,
      ignore_eos: true,
    };
    const { text, logprobs } = await first(fields);
    expect(text.startsWith('Good morning, order 12')).toBe(true);
    const tokens = logprobs?.tokens ?? [];
    expect(logprobs?.token_logprobs?.[0]).toBeNull();
    expect(logprobs?.token_logprobs?.slice(1).every((value) => value <= 0)).toBe(true);
    expect(logprobs?.text_offset).toHaveLength(tokens.length);
    const characters = [...text];
    const shown = tokens.map((token, i) => {
      const begin = logprobs?.text_offset?.[i] ?? 0;
      return characters.slice(begin, begin + [...token].length).join('');
    });
    // The first token may be one that the tokenizer added, which has no place in the text.
    expect(shown.slice(1)).toEqual(tokens.slice(1));
    const onlyScored = await first({ ...fields, max_tokens: 0 });
    expect(onlyScored.text).toBe('Good morning, order 12');
    expect(onlyScored.finish_reason).toBe('length');
  });

  it('lists the drawn token among the alternatives, the likeliest first, in both forms', async () => {
    const legacy = await first({ prompt: 'Good', logprobs: 3, max_tokens: 4 });
    for (const [i, token] of (legacy.logprobs?.tokens ?? []).entries()) {
      const top = legacy.logprobs?.top_logprobs?.[i] ?? {};
      expect(top[token]).toBeCloseTo(Math.max(...Object.values(top)), 6);
    }
    const chat = await openai.chat.completions.create({
      model: adapter,
      messages: [{ role: 'user', content: 'Hello' }],
      temperature: 0,
      max_tokens: 4,
      logprobs: true,
      top_logprobs: 2,
    });
    for (const { token, logprob, bytes, top_logprobs } of chat.choices[0]?.logprobs?.content ?? []) {
      expect(top_logprobs).toHaveLength(2);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
      expect(bytes?.length).toBeGreaterThan(0);
    }
  });

  it('stops before a stop string, says which one, and keeps it on request', async () => {
    const fields = { prompt: 'Good morning', max_tokens: 40, ignore_eos: true };
    const { text } = await first(fields);
    const stop = text.slice(3, 6);
    const stopped = await first({ ...fields, stop: ['~never~', stop] });
    expect(stopped).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
    expect(more(stopped).stop_reason).toBe(stop);
    const kept = await first({ ...fields, stop, include_stop_str_in_output: true });
    expect(kept.text).toBe(text.slice(0, text.indexOf(stop) + stop.length));
  });

  it('ends at max_tokens with finish_reason length, and counts what it generated', async () => {
    const completion = await complete({
      prompt: 'Good',
      max_tokens: 5,
      ignore_eos: true,
      return_token_ids: true,
    });
    expect(completion.choices[0]?.finish_reason).toBe('length');
    expect(more(completion.choices[0]).token_ids).toHaveLength(5);
    expect(completion.usage).toMatchObject({
      completion_tokens: 5,
      prompt_tokens_details: expect.anything(),
    });
  });

  it('refuses a prompt beyond the context and a field out of range with 400, naming the field', async () => {
    const tooLong = openai.chat.completions.create({
      model: adapter,
      messages: [{ role: 'user', content: 'word '.repeat(20_000) }],
    });
    await expect(tooLong).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
      param: 'messages',
    });
    const bad = complete({ prompt: 'x', temperature: -1 });
    await expect(bad).rejects.toBeInstanceOf(BadRequestError);
    await expect(bad).rejects.toMatchObject({ code: 'invalid_request', param: 'temperature' });
    await expect(complete({ prompt: [99_999_999] })).rejects.toMatchObject({ status: 400, param: 'prompt' });
  });

  it("hides another tenant's adapter as not found", async () => {
    const stranger = await makeTenant(stack.url, stack.adminKey, 'openai-stranger');
    for (const model of [adapter, `demo/${adapter}`, `${adapter}@1`]) {
      const { status, body } = await stranger.call('POST', '/v1/completions', { model, prompt: 'x' });
      expect([status, body]).toMatchObject([404, { error: { code: 'model_not_found', param: 'model' } }]);
    }
    const { data } = await stranger.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models');
    expect(data.map(({ id }) => id)).toEqual([demo.name]);
  });

  it('frees the engine soon after a client has left its stream', async () => {
    const stream = await openai.completions.create({
      ...greedy,
      prompt: 'Good morning',
      max_tokens: 100_000,
      ignore_eos: true,
      stream: true,
    } as OpenAI.CompletionCreateParamsStreaming);
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) break;
    await vi.waitFor(async () => {
      const { body } = await tenant.call<string>('GET', '/metrics');
      expect(body).toMatch(/lorikeet_fleet_open_streams\{[^}]*\} 0\b/);
    }, 20_000);
  });

  it('meters exactly the tokens that its answers counted', async () => {
    const meteredTenant = await makeTenant(stack.url, stack.adminKey, 'openai-metered');
    const sums = { prompt_tokens: 0, completion_tokens: 0 };
    for (const n of [1, 2, 3]) {
      const body = { ...greedy, prompt: 'Good morning', n };
      const { usage } = await meteredTenant.expect<{ usage: typeof sums }>(
        200,
        'POST',
        '/v1/completions',
        body,
      );
      sums.prompt_tokens += usage.prompt_tokens;
      sums.completion_tokens += usage.completion_tokens;
    }
    const { data } = await meteredTenant.expect<{ data: object[] }>(200, 'GET', '/v1/usage');
    expect(data).toMatchObject([{ requests: 3, errors: 0, ...sums }]);
  });
});
