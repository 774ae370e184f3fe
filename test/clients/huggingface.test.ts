import { InferenceClient, InferenceClientProviderApiError } from '@huggingface/inference';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerText } from '../support/fake-answers.js';
import { type InferenceApp, KEY, startInferenceApp } from '../support/inference-app.js';

/*
 * With `endpointUrl` this client speaks OpenAI's protocol for chats alone; for other tasks it speaks that of Hugging Face's
 * own servers, or of one provider each.
 */
let app: InferenceApp;
let client: InferenceClient;
beforeAll(async () => {
  app = await startInferenceApp();
  client = new InferenceClient(KEY, { endpointUrl: app.url });
});
afterAll(() => app.close());

const messages = [{ role: 'user', content: 'Hi' }];

describe('chatCompletion', () => {
  it('answers, with usage', async () => {
    app.engine.script = answerText('Hello there');
    const answer = await client.chatCompletion({
      model: 'support',
      messages,
      max_tokens: 16,
      temperature: 0,
    });
    expect(answer.choices[0]).toMatchObject({
      index: 0,
      finish_reason: 'stop',
      message: { role: 'assistant', content: 'Hello there' },
    });
    expect(answer.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 });
  });

  it('streams', async () => {
    app.engine.script = answerText('Hello there');
    let text = '';
    let reason: string | undefined;
    for await (const { choices } of client.chatCompletionStream({ model: 'support', messages, seed: 1 })) {
      text += choices[0]?.delta.content ?? '';
      reason = choices[0]?.finish_reason ?? reason;
    }
    expect([text, reason]).toEqual(['Hello there', 'stop']);
  });

  it('calls tools', async () => {
    const call = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>';
    app.engine.script = answerText(call, { tools: 'hermes' });
    const answer = await client.chatCompletion({
      model: 'support',
      messages,
      tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }],
      tool_choice: 'auto',
    });
    const [made] = answer.choices[0]?.message.tool_calls ?? [];
    expect(made?.function).toMatchObject({ name: 'weather', arguments: '{"city": "Paris"}' });
  });

  it('wishes for structure', async () => {
    app.engine.script = answerText('{"ok": true}');
    const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'verdict', schema } };
    const answer = await client.chatCompletion({ model: 'support', messages, response_format });
    expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toEqual({ ok: true });
    expect(app.engine.requests.at(-1)?.structure?.field).toMatch(/^response_format/);
  });

  it('hears what is wrong', async () => {
    const asked = client.chatCompletion({ model: 'nobody', messages });
    await expect(asked).rejects.toThrow(InferenceClientProviderApiError);
    await expect(asked).rejects.toMatchObject({ httpResponse: { status: 404 } });
  });
});
