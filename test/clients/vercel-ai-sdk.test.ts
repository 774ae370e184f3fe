import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { answerText } from '../support/fake-answers.js';
import { type InferenceApp, KEY, startInferenceApp } from '../support/inference-app.js';

let app: InferenceApp;
beforeAll(async () => {
  app = await startInferenceApp();
});
afterAll(() => app.close());
beforeEach(() => {
  app.engine.requests.length = 0;
});

const model = () =>
  createOpenAICompatible({
    name: 'lorikeet',
    baseURL: `${app.url}/v1`,
    apiKey: KEY,
    includeUsage: true,
  }).chatModel('support');
const quick = { maxRetries: 0 };

it('generates text, with usage and why it ended', async () => {
  app.engine.script = answerText('Hello there');
  const { text, finishReason, usage } = await generateText({ model: model(), prompt: 'Hi', ...quick });
  expect(text).toBe('Hello there');
  expect(finishReason).toBe('stop');
  expect(usage).toMatchObject({ inputTokens: 2, outputTokens: 3 });
});

it('streams text and reasoning', async () => {
  app.engine.script = answerText('<think>Hm.</think>Hello there', { reasoning: 'think' });
  const result = streamText({ model: model(), system: 'Be brief.', prompt: 'Hi', temperature: 0, ...quick });
  let text = '';
  for await (const piece of result.textStream) text += piece;
  expect(text).toBe('Hello there');
  expect(await result.reasoningText).toBe('Hm.');
  expect(await result.usage).toMatchObject({ inputTokens: 2 });
});

it('calls tools and goes on with what they said, whole and streamed', async () => {
  app.engine.script = (generation) => {
    const { input } = generation.request;
    const isAnswered = input.kind === 'chat' && input.conversation.includes('"role":"tool"');
    const call = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>';
    return answerText(isAnswered ? 'Rain.' : call, { tools: 'hermes' })(generation);
  };
  const cities: string[] = [];
  const weather = tool({
    description: 'The weather of a city',
    inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }),
    execute: async ({ city }) => {
      cities.push(city);
      return { sky: 'rain' };
    },
  });
  const ask = { model: model(), tools: { weather }, stopWhen: stepCountIs(3), prompt: 'Paris?', ...quick };
  expect((await generateText(ask)).text).toBe('Rain.');
  expect(await streamText(ask).text).toBe('Rain.');
  expect(cities).toEqual(['Paris', 'Paris']);
  expect(app.engine.requests).toHaveLength(4);
});
