import OpenAI, { NotFoundError } from 'openai';
import type {
  Response,
  ResponseCreateParamsNonStreaming,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { finish, scored, start, tokens } from '../support/engine-events.js';
import { answerText } from '../support/fake-answers.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let openai: OpenAI;
beforeAll(async () => {
  platform = await Platform.start({ worker: false, env: { RESPONSE_STORAGE_BYTES: '96K' } });
  acme = await platform.tenant('acme');
  openai = new OpenAI({ apiKey: acme.key, baseURL: `${platform.url}/v1`, maxRetries: 0 });
}, 120_000);
afterAll(() => platform?.close());
beforeEach(() => {
  platform.engine.script = answerText('Hello');
  platform.engine.requests.length = 0;
});

const MODEL = 'llama-gqa';
const WEATHER = {
  type: 'function' as const,
  name: 'weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: false,
};
const ask = (body: Partial<ResponseCreateParamsNonStreaming>): Promise<Response> =>
  openai.responses.create({ model: MODEL, input: 'Hi', ...body });
/** What the chat template is given of the last request. */
function conversation() {
  const input = platform.engine.requests.at(-1)?.input;
  if (input?.kind !== 'chat') throw new Error('no chat was asked');
  return JSON.parse(input.conversation) as { messages: object[]; tools?: object[] };
}
const refused = (body: object) =>
  acme.call<{ error: { code: string; param: string } }>('POST', '/v1/responses', {
    model: MODEL,
    input: 'Hi',
    ...body,
  });

describe('a response', () => {
  it('has the text, the usage, and what the request said', async () => {
    const response = await ask({
      instructions: 'Be kind.',
      max_output_tokens: 9,
      temperature: 0.5,
      metadata: { run: '7' },
      user: 'u1',
    });
    expect(response.output_text).toBe('Hello');
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      model: MODEL,
      error: null,
      incomplete_details: null,
      instructions: 'Be kind.',
      max_output_tokens: 9,
      temperature: 0.5,
      metadata: { run: '7' },
      store: true,
      previous_response_id: null,
      usage: {
        input_tokens: 2,
        input_tokens_details: { cached_tokens: 1 },
        output_tokens: 3,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 5,
      },
    });
    expect(response.id).toMatch(/^resp_[0-9a-f]{32}$/);
    expect(response.output).toMatchObject([
      {
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: 'Hello', annotations: [] }],
      },
    ]);
    expect(conversation().messages).toMatchObject([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Hi' },
    ]);
    expect(platform.engine.requests[0]).toMatchObject({ maxTokens: 9, sampling: { temperature: 0.5 } });
  });

  it('is incomplete when its tokens ran out', async () => {
    platform.engine.script = (generation) => {
      generation.send(start(), tokens('Hel', [1]), finish({ reason: 'length' }));
      generation.end();
    };
    const response = await ask({ max_output_tokens: 1 });
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
    });
    expect(response.output).toMatchObject([{ status: 'incomplete' }]);
  });

  it('keeps reasoning, text and calls apart as items, and takes them back', async () => {
    const call = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>';
    platform.engine.script = answerText(`<think>Where?</think>Let me look.${call}`, {
      tools: 'hermes',
      reasoning: 'think',
    });
    const first = await ask({ tools: [WEATHER], input: [{ role: 'user', content: 'Weather?' }] });
    expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'function_call']);
    const [thought, , called] = first.output;
    expect(thought).toMatchObject({ content: [{ type: 'reasoning_text', text: 'Where?' }], summary: [] });
    if (called?.type !== 'function_call') throw new Error('no call');
    expect(called).toMatchObject({ name: 'weather', status: 'completed' });
    expect(JSON.parse(called.arguments)).toEqual({ city: 'Paris' });
    platform.engine.script = answerText('Rain.');
    const second = await ask({
      tools: [WEATHER],
      store: false,
      input: [
        { role: 'user', content: 'Weather?' },
        ...(first.output as never[]),
        { type: 'function_call_output', call_id: called.call_id, output: 'rain' },
      ],
    });
    expect(second.output_text).toBe('Rain.');
    expect(conversation()).toMatchObject({
      messages: [
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          content: 'Let me look.',
          reasoning_content: 'Where?',
          tool_calls: [{ id: called.call_id, function: { name: 'weather', arguments: { city: 'Paris' } } }],
        },
        { role: 'tool', content: 'rain', tool_call_id: called.call_id },
      ],
      tools: [{ type: 'function', function: { name: 'weather', parameters: WEATHER.parameters } }],
    });
  });

  it('has log-probabilities where they are asked for', async () => {
    platform.engine.script = (generation) => {
      generation.send(start(), tokens('Hi', [7], [scored(7, 'Hi', -0.5, 'Ho')]), finish());
      generation.end();
    };
    const response = await ask({ include: ['message.output_text.logprobs'], top_logprobs: 1 });
    const [message] = response.output;
    expect(message).toMatchObject({
      content: [{ logprobs: [{ token: 'Hi', logprob: -0.5, top_logprobs: [{ token: 'Hi' }, {}] }] }],
    });
  });
});

describe('a stored response', () => {
  it('is got, listed with what it answers, gone on with, and deleted', async () => {
    const first = await ask({ input: 'My name is Ada.', instructions: 'Be brief.' });
    expect(await openai.responses.retrieve(first.id)).toMatchObject({
      id: first.id,
      output: first.output,
      usage: first.usage,
    });
    platform.engine.script = answerText('Ada');
    const second = await ask({ input: 'Who am I?', previous_response_id: first.id });
    expect(second.previous_response_id).toBe(first.id);
    expect(conversation().messages).toMatchObject([
      { role: 'user', content: 'My name is Ada.' },
      { role: 'assistant', content: 'Hello' },
      { role: 'user', content: 'Who am I?' },
    ]);
    const texts = async (order: 'asc' | 'desc') => {
      const found = [];
      for await (const item of openai.responses.inputItems.list(second.id, { order, limit: 2 }))
        found.push(item.type === 'message' ? (item.content[0] as { text: string }).text : item.type);
      return found;
    };
    expect(await texts('asc')).toEqual(['My name is Ada.', 'Hello', 'Who am I?']);
    expect(await texts('desc')).toEqual(['Who am I?', 'Hello', 'My name is Ada.']);
    await openai.responses.delete(first.id);
    await expect(openai.responses.retrieve(first.id)).rejects.toBeInstanceOf(NotFoundError);
    const broken = await refused({ previous_response_id: second.id });
    expect([broken.status, broken.body.error.param]).toEqual([404, 'previous_response_id']);
    const audit = await platform.admin.expect<{ data: object[] }>(
      200,
      'GET',
      '/v1/admin/audit?action=response.delete',
    );
    expect(audit.data).toMatchObject([{ subject: { type: 'response', id: first.id } }]);
  });

  it('is not there with store: false, nor for another tenant', async () => {
    const unkept = await ask({ store: false });
    await expect(openai.responses.retrieve(unkept.id)).rejects.toBeInstanceOf(NotFoundError);
    const kept = await ask({});
    const other = await platform.tenant(`other-${kept.id.slice(-6)}`);
    for (const [method, path] of [
      ['GET', `/v1/responses/${kept.id}`],
      ['GET', `/v1/responses/${kept.id}/input_items`],
      ['DELETE', `/v1/responses/${kept.id}`],
    ] as const)
      expect((await other.call(method, path)).status).toBe(404);
    const theirs = await other.call('POST', '/v1/responses', {
      model: MODEL,
      input: 'x',
      previous_response_id: kept.id,
    });
    expect(theirs.status).toBe(404);
    expect((await openai.responses.retrieve(kept.id)).id).toBe(kept.id);
  });

  it('is kept though a model wrote what PostgreSQL cannot hold', async () => {
    platform.engine.script = answerText('a\0b');
    const { id } = await ask({});
    expect((await openai.responses.retrieve(id)).output_text ?? '').not.toContain('\0');
  });

  it('is made once for an Idempotency-Key', async () => {
    const options = { idempotencyKey: 'r1', headers: { 'idempotency-key': 'r1' } };
    const first = await openai.responses.create({ model: MODEL, input: 'Hi' }, options);
    const again = await openai.responses.create({ model: MODEL, input: 'Hi' }, options);
    expect(again.id).toBe(first.id);
    expect(platform.engine.requests).toHaveLength(1);
  });

  it('is forgotten when no conversation has used it for as long as it is kept', async () => {
    const old = await ask({});
    const used = await ask({});
    const digits = (id: string) => id.slice('resp_'.length);
    await platform.query(
      "UPDATE responses SET used_at = now() - interval '31 days' WHERE id = ANY($1::uuid[])",
      [[digits(old.id), digits(used.id)]],
    );
    await ask({ previous_response_id: used.id });
    await platform.startWorker();
    await expect
      .poll(() =>
        openai.responses.retrieve(old.id).then(
          () => 'there',
          () => 'gone',
        ),
      )
      .toBe('gone');
    expect((await openai.responses.retrieve(used.id)).id).toBe(used.id);
  });
});

describe('a streamed response', () => {
  const events = async (body: Partial<ResponseCreateParamsNonStreaming>): Promise<ResponseStreamEvent[]> => {
    const all = [];
    for await (const event of await openai.responses.create({
      model: MODEL,
      input: 'Hi',
      ...body,
      stream: true,
    }))
      all.push(event);
    return all;
  };

  it('tells each part as it comes, numbered, and ends with the whole', async () => {
    const all = await events({});
    expect(all.map(({ sequence_number }) => sequence_number)).toEqual(all.map((_, i) => i));
    const types = all.map(({ type }) => type);
    expect([...new Set(types)]).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    const text = all
      .map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''))
      .join('');
    expect(text).toBe('Hello');
    const last = all.at(-1);
    if (last?.type !== 'response.completed') throw new Error('not completed');
    expect(last.response).toMatchObject({ status: 'completed', usage: { total_tokens: 5 } });
    expect((await openai.responses.retrieve(last.response.id)).output).toEqual(last.response.output);
  });

  it("is put together by the client's own helper, with reasoning and calls", async () => {
    const call = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>';
    platform.engine.script = answerText(`<think>Hm</think>Look:${call}`, {
      tools: 'hermes',
      reasoning: 'think',
    });
    const stream = openai.responses.stream({ model: MODEL, input: 'Hi', tools: [WEATHER] });
    const types = new Set<string>();
    for await (const { type } of stream) types.add(type);
    expect([...types]).toEqual(
      expect.arrayContaining([
        'response.reasoning_text.delta',
        'response.reasoning_text.done',
        'response.function_call_arguments.delta',
        'response.function_call_arguments.done',
      ]),
    );
    const final = await stream.finalResponse();
    expect(final.output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'function_call']);
    expect(final.output[2]).toMatchObject({
      name: 'weather',
      arguments: expect.stringContaining('Paris') as string,
    });
    expect(final.output_text).toBe('Look:');
  });

  it('ends with response.failed when the engine fails, and is not kept', async () => {
    platform.engine.script = (generation) => {
      generation.send(start(), tokens('Hel', [1]), { type: 'error', code: 'internal_error', message: 'no' });
      generation.end();
    };
    const response = await fetch(`${platform.url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${acme.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, input: 'Hi', stream: true }),
    });
    const text = await response.text();
    const all = text
      .trim()
      .split('\n\n')
      .map((message) => {
        const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(message) ?? [];
        const event = JSON.parse(data ?? '') as { type: string; response?: Response };
        expect(event.type).toBe(name);
        return event;
      });
    expect(all.slice(-2).map(({ type }) => type)).toEqual(['error', 'response.failed']);
    const failed = all.at(-1)?.response;
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'server_error' } });
    expect((await acme.call('GET', `/v1/responses/${failed?.id}`)).status).toBe(404);
  });
});

describe('a request for a response', () => {
  it('asks for structure and for certain tools as a chat does', async () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'integer' } },
      required: ['a'],
      additionalProperties: false,
    };
    platform.engine.script = answerText('{"a": 1}');
    const response = await ask({
      text: { format: { type: 'json_schema', name: 'one', schema, strict: true } },
    });
    expect(response.text?.format).toMatchObject({ type: 'json_schema', name: 'one' });
    await openai.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'Hi' }],
      response_format: { type: 'json_schema', json_schema: { name: 'one', schema, strict: true } },
    });
    const [asked, chatted] = platform.engine.requests;
    expect(asked?.structure).toEqual(chatted?.structure);
    expect(asked?.structure).toBeDefined();
    const unknown = await refused({ tools: [WEATHER], tool_choice: { type: 'function', name: 'nothing' } });
    expect([unknown.status, unknown.body.error.param]).toEqual([400, 'tool_choice']);
    const bad = await refused({ text: { format: { type: 'json_schema', name: 'x', schema: 7 } } });
    expect(bad.status).toBe(400);
    expect(bad.body.error.param).toMatch(/^text\.format/);
  });

  it.each([
    [
      'an image',
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
      'input[0].content[0].type',
    ],
    ['an unknown item', { input: [{ type: 'web_search_call', id: 'x' }] }, 'input[0].type'],
    [
      'an unknown member of an item',
      { input: [{ role: 'user', content: 'x', images: [] }] },
      'input[0].images',
    ],
    ['no input', { input: undefined }, 'input'],
    ['an empty list', { input: [] }, 'input'],
    ['a tool of the server', { tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    ['background', { background: true }, 'background'],
    ['a conversation', { conversation: 'conv_1' }, 'conversation'],
    ['an unknown field', { maxtokens: 1 }, 'maxtokens'],
    ['no room for tokens', { max_output_tokens: 0 }, 'max_output_tokens'],
    [
      'arguments that are no object',
      { input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: '[' }] },
      'input',
    ],
    ['a temperature', { temperature: 9 }, 'temperature'],
    [
      'too much metadata',
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) },
      'metadata',
    ],
    ['an unknown text format', { text: { format: { type: 'poem' } } }, 'text.format.type'],
  ])('is refused for %s by the name of the field', async (_, body, param) => {
    const { status, body: answer } = await refused(body);
    expect([status, answer.error.param]).toEqual([400, param]);
  });

  it('joins instructions with what the conversation begins with', async () => {
    await ask({
      instructions: 'Be kind.',
      input: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
      ],
    });
    expect(conversation().messages).toMatchObject([
      { role: 'system', content: 'Be kind.\n\nBe brief.' },
      { role: 'user' },
    ]);
  });
});

describe('what a tenant keeps', () => {
  it('is bounded: what was used longest ago makes room, and no other tenant for it', async () => {
    const other = await ask({});
    const heavy = await platform.tenant('heavy');
    const client = new OpenAI({ apiKey: heavy.key, baseURL: `${platform.url}/v1`, maxRetries: 0 });
    const ids: string[] = [];
    for (let at = 0; at < 6; at += 1)
      ids.push((await client.responses.create({ model: MODEL, input: `${at}`.repeat(30_000) })).id);
    const statusOf = async (id: string) => (await heavy.call('GET', `/v1/responses/${id}`)).status;
    await expect.poll(() => Promise.all(ids.map(statusOf))).toEqual([404, 404, 404, 200, 200, 200]);
    expect((await acme.call('GET', `/v1/responses/${other.id}`)).status).toBe(200);
  });
});
