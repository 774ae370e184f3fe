import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI, type ChatOpenAIFields } from '@langchain/openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answerText } from '../support/fake-answers.js';
import { type InferenceApp, KEY, startInferenceApp } from '../support/inference-app.js';

let app: InferenceApp;
beforeAll(async () => {
  app = await startInferenceApp();
});
afterAll(() => app.close());

const modelOf = (fields: ChatOpenAIFields = {}) =>
  new ChatOpenAI({
    model: 'support',
    apiKey: KEY,
    maxRetries: 0,
    configuration: { baseURL: `${app.url}/v1` },
    ...fields,
  });
const weather = {
  type: 'function' as const,
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};

it('answers and streams, with usage', async () => {
  app.engine.script = answerText('Hello there');
  const answer = await modelOf({ temperature: 0 }).invoke('Hi');
  expect(answer.content).toBe('Hello there');
  expect(answer.usage_metadata).toMatchObject({ input_tokens: 2, output_tokens: 3 });
  let text = '';
  for await (const piece of await modelOf().stream('Hi')) text += String(piece.content);
  expect(text).toBe('Hello there');
});

it('calls tools, streams their calls, and takes what they said', async () => {
  app.engine.script = answerText(
    '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>',
    {
      tools: 'hermes',
    },
  );
  const bound = modelOf().bindTools([weather]);
  const question = new HumanMessage('Paris?');
  const called = await bound.invoke([question]);
  expect(called.tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Paris' } }]);
  let streamed: Awaited<ReturnType<typeof bound.invoke>> | undefined;
  for await (const piece of await bound.stream([question]))
    streamed = streamed ? streamed.concat(piece) : piece;
  expect(streamed?.tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Paris' } }]);
  app.engine.script = answerText('Rain.');
  const id = called.tool_calls?.[0]?.id ?? '';
  const answer = await bound.invoke([
    question,
    called,
    new ToolMessage({ content: 'rain', tool_call_id: id }),
  ]);
  expect(answer.content).toBe('Rain.');
});
