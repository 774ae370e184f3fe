import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { answerText } from '../../../../test/support/fake-answers.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

type Params = OpenAI.ChatCompletionCreateParamsNonStreaming;

let app: InferenceApp;
let client: OpenAI;
beforeAll(async () => {
  app = await startInferenceApp();
  client = new OpenAI({ apiKey: KEY, baseURL: `${app.url}/v1`, maxRetries: 0 });
});
afterAll(() => app.close());
beforeEach(() => {
  app.engine.requests.length = 0;
});

const weather: OpenAI.ChatCompletionFunctionTool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};
const chat = { model: 'support', messages: [{ role: 'user' as const, content: 'Paris?' }], tools: [weather] };

const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>';

describe('calls of tools, with the openai client', () => {
  it('are given as OpenAI gives them, whole and streamed', async () => {
    app.engine.script = answerText(`I look.\n${CALL}\n${CALL}`, { tools: 'hermes' });
    const whole = await client.chat.completions.create(chat);
    const call = {
      id: expect.stringMatching(/^call_[0-9a-f]{24}$/) as unknown,
      type: 'function',
      function: { name: 'weather', arguments: '{"city": "Paris"}' },
    };
    expect(whole.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { role: 'assistant', content: 'I look.', tool_calls: [call, call] },
    });
    const ids = whole.choices[0]?.message.tool_calls?.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(app.engine.requests[0]).toMatchObject({
      wantedFormats: { tools: true, reasoning: true },
      input: { hasTools: true },
    });

    const stream = client.chat.completions.stream(chat);
    const deltas: OpenAI.ChatCompletionChunk.Choice.Delta[] = [];
    stream.on('chunk', ({ choices }) => deltas.push(...choices.map(({ delta }) => delta)));
    const streamed = await stream.finalChatCompletion();
    expect(streamed.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { content: 'I look.', tool_calls: [call, call] },
    });
    const said = deltas.flatMap(({ tool_calls }) => tool_calls ?? []);
    const begun = said.filter(({ id }) => id !== undefined);
    expect(begun.map(({ index, function: called }) => [index, called?.name])).toEqual([
      [0, 'weather'],
      [1, 'weather'],
    ]);
    expect(said.filter(({ id }) => id === undefined).every((each) => each.function?.name === undefined)).toBe(
      true,
    );
    expect(said.length).toBeGreaterThan(6); // arguments come as they are generated
  });

  it('run the tool and go on with what it said', async () => {
    app.engine.script = (generation) => {
      const { input } = generation.request;
      const isAnswered = input.kind === 'chat' && input.conversation.includes('"role":"tool"');
      return answerText(isAnswered ? 'Rain.' : CALL, { tools: 'hermes' })(generation);
    };
    const asked: string[] = [];
    const runner = client.chat.completions.runTools({
      ...chat,
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: 'The weather of a city',
            parameters: weather.function.parameters as object,
            parse: JSON.parse as (text: string) => { city: string },
            function: ({ city }: { city: string }) => {
              asked.push(city);
              return 'rain';
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe('Rain.');
    expect(asked).toEqual(['Paris']);
    const last = app.engine.requests.at(-1)?.input as { conversation: string };
    expect(JSON.parse(last.conversation)).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', tool_calls: [{ function: { name: 'weather', arguments: { city: 'Paris' } } }] },
        { role: 'tool', content: 'rain' },
      ],
    });
  });

  it('have no content beside them where there is none, and one each of several answers', async () => {
    app.engine.script = answerText(CALL, { tools: 'hermes' });
    const { choices } = await client.chat.completions.create({ ...chat, n: 2 });
    expect(choices.map(({ message }) => message.content)).toEqual([null, null]);
    expect(choices.map(({ message }) => message.tool_calls?.length)).toEqual([1, 1]);
  });

  it('are one alone where the request says so, and say length where they were cut', async () => {
    app.engine.script = answerText(CALL + CALL, { tools: 'hermes' });
    const alone = await client.chat.completions.create({ ...chat, parallel_tool_calls: false });
    expect(alone.choices[0]?.message.tool_calls).toHaveLength(1);
    app.engine.script = answerText(
      CALL.slice(0, CALL.indexOf('is"')),
      { tools: 'hermes' },
      { reason: 'length' },
    );
    const cut = await client.chat.completions.create(chat);
    expect(cut.choices[0]?.finish_reason).toBe('length');
    expect(cut.choices[0]?.message.tool_calls?.[0]).toHaveProperty('function.arguments', '{"city": "Par');
  });

  it("have ids that Mistral's templates take", async () => {
    const text = '[TOOL_CALLS] [{"name": "weather", "arguments": {}}]';
    app.engine.script = answerText(text, { tools: 'mistral' });
    const { choices } = await client.chat.completions.create(chat);
    expect(choices[0]?.message.tool_calls?.[0]?.id).toMatch(/^[A-Za-z0-9]{9}$/);
  });

  it('stay text where none are wanted', async () => {
    app.engine.script = answerText(CALL, {});
    const { choices } = await client.chat.completions.create({ ...chat, tool_choice: 'none' });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: CALL } });
    expect(choices[0]?.message).not.toHaveProperty('tool_calls');
    expect(app.engine.requests[0]).toMatchObject({
      wantedFormats: { tools: false, reasoning: true },
      input: { hasTools: true },
    });
  });

  const strict = { ...weather, function: { ...weather.function, name: 'strict', strict: true } };
  const named = { type: 'function', function: { name: 'weather' } } as const;
  const schema = weather.function.parameters;
  const field = (at: number) => `tools[${at}].function.parameters`;
  const own = { name: 'weather', schema, strict: false, field: field(0) };
  const exact = { name: 'strict', schema, strict: true, field: field(1) };
  it.each<[Partial<Params>, object | undefined]>([
    [{}, undefined],
    [{ tool_choice: 'required' }, { tools: [own], required: true, parallel: true }],
    [
      { tools: [strict, weather], tool_choice: named },
      { tools: [{ ...own, field: field(1) }], required: true, parallel: false },
    ],
    [{ tools: [weather, strict] }, { tools: [own, exact], required: false, parallel: true }],
    [
      { tools: [weather, strict], parallel_tool_calls: false },
      { tools: [own, exact], required: false, parallel: false },
    ],
    [
      {
        tools: [weather, strict],
        tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [named] } },
      } as unknown as Partial<Params>,
      { tools: [own], required: false, parallel: true },
    ],
    [{ tools: [strict], tool_choice: 'none' }, undefined],
    [{ response_format: { type: 'json_object' } }, { tools: [own], required: false, parallel: true }],
  ])('are held to what is asked: %j', async (fields, calls) => {
    app.engine.script = answerText(CALL, { tools: 'hermes' });
    await client.chat.completions.create({ ...chat, ...fields });
    expect(app.engine.requests[0]?.calls).toEqual(calls);
  });

  it.each<[Partial<Params>, string]>([
    [{ tools: [], tool_choice: 'required' }, 'tool_choice'],
    [{ tool_choice: { type: 'function', function: { name: 'nobody' } } }, 'tool_choice'],
    [
      {
        tools: [{ ...strict, function: { ...strict.function, parameters: [] as unknown as object } }],
      } as Partial<Params>,
      'tools[0].function.parameters',
    ],
  ])('cannot be: %j', async (fields, param) => {
    const refusal = client.chat.completions.create({ ...chat, ...fields });
    await expect(refusal).rejects.toMatchObject({ status: 400, param });
  });

  it('are refused in the words of an engine that cannot read them', async () => {
    app.engine.script = (generation) =>
      generation.refuse('invalid_request', 'no form of tool calls', 'tools');
    await expect(client.chat.completions.create(chat)).rejects.toMatchObject({ status: 400, param: 'tools' });
  });
});

describe('reasoning', () => {
  const plain = { model: 'support', messages: chat.messages };
  const text = '<think>\nHm.\n</think>\n\nYes';
  const reasoningOf = (message: object | undefined) =>
    (message as { reasoning_content?: string } | undefined)?.reasoning_content;

  it('is split off, whole and streamed, and left out on request', async () => {
    app.engine.script = answerText(text, { reasoning: 'think' });
    const { choices } = await client.chat.completions.create(plain);
    expect(choices[0]?.message.content).toBe('Yes');
    expect(reasoningOf(choices[0]?.message)).toBe('Hm.');
    let streamed = '';
    let answer = '';
    for await (const chunk of await client.chat.completions.create({ ...plain, stream: true })) {
      streamed += reasoningOf(chunk.choices[0]?.delta) ?? '';
      answer += chunk.choices[0]?.delta.content ?? '';
    }
    expect([streamed, answer]).toEqual(['Hm.', 'Yes']);
    const without = { ...plain, include_reasoning: false } as Params;
    expect((await client.chat.completions.create(without)).choices[0]?.message).toEqual({
      role: 'assistant',
      content: 'Yes',
      refusal: null,
    });
  });

  it('is all that there is of an answer that was cut in it', async () => {
    app.engine.script = answerText('Hm', { reasoning: 'think', reasoningOpen: true }, { reason: 'length' });
    const { choices } = await client.chat.completions.create(plain);
    expect(choices[0]).toMatchObject({ finish_reason: 'length', message: { content: null } });
    expect(reasoningOf(choices[0]?.message)).toBe('Hm');
  });

  it('is asked for by arguments of the template', async () => {
    app.engine.script = answerText('Yes', {});
    const fields = { reasoning_effort: 'low', chat_template_kwargs: { enable_thinking: false } };
    await client.chat.completions.create({ ...plain, ...fields } as Params);
    const [asked] = app.engine.requests;
    const { conversation } = (asked as NonNullable<typeof asked>).input as { conversation: string };
    expect(JSON.parse(conversation)).toMatchObject({
      arguments: { reasoning_effort: 'low', enable_thinking: false },
    });
  });
});
