import { describe, expect, it } from 'vitest';
import { ChatRequestSchema } from '#contracts/openai/chat-request.js';
import { CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { requestFault } from './request-fault.js';

function faultOf(schema: typeof ChatRequestSchema | typeof CompletionRequestSchema, body: unknown) {
  const { code, message, details } = requestFault(schema.safeParse(body).error?.issues ?? []);
  return { code, message, param: details.param };
}

describe('requestFault', () => {
  it('names the field and what was expected', () => {
    expect(faultOf(CompletionRequestSchema, { model: 'm', prompt: 'p', temperature: 'hot' })).toEqual({
      code: 'invalid_request',
      message: 'temperature: Invalid input: expected number, received string',
      param: 'temperature',
    });
  });

  it("writes a nested field's name as OpenAI does", () => {
    const body = { model: 'm', messages: [{ role: 'user', content: [{ type: 'audio' }] }] };
    expect(faultOf(ChatRequestSchema, body)).toMatchObject({
      message: 'messages[0].content[0].type: only "text" parts are supported, got "audio"',
      param: 'messages[0].content[0].type',
    });
  });

  it('names an unknown field, also within another', () => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'x', images: [] }] };
    expect(faultOf(ChatRequestSchema, body)).toMatchObject({
      message: 'messages[0].images: is not a field of this request',
      param: 'messages[0].images',
    });
    expect(faultOf(CompletionRequestSchema, { model: 'm', prompt: 'p', temprature: 1 })).toMatchObject({
      param: 'temprature',
    });
  });

  it('says each field once, and of many faults only the first', () => {
    const body = { model: 1, prompt: 2, n: 'x', top_p: 'x', top_k: 'x', min_p: 'x', seed: 'x' };
    expect(faultOf(CompletionRequestSchema, body).message.split('; ')).toHaveLength(5);
  });

  it('has no param when the body itself is wrong', () => {
    expect(faultOf(CompletionRequestSchema, 'text')).toEqual({
      code: 'invalid_request',
      message: 'Invalid input: expected object, received string',
      param: undefined,
    });
  });
});
