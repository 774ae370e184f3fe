import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ChatRequestSchema } from './chat-request.js';
import { CompletionRequestSchema, promptsOf } from './completion-request.js';

/** The faults as `field: message`. */
function faults(schema: z.ZodType, body: unknown): string[] {
  const result = schema.safeParse(body);
  return (result.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}
const completion = (fields: object) =>
  faults(CompletionRequestSchema, { model: 'm', prompt: 'p', ...fields });
const chat = (fields: object) =>
  faults(ChatRequestSchema, { model: 'm', messages: [{ role: 'user', content: 'hi' }], ...fields });

describe('CompletionRequestSchema', () => {
  it.each([
    [{ prompt: ['a', 'b'] }],
    [{ prompt: [1, 2, 3] }],
    [{ prompt: [[1, 2], [3]] }],
    [{ prompt: '' }],
    [{ temperature: 0, top_p: 0.1, top_k: -1, min_p: 0.2, repetition_penalty: 1.1 }],
    [{ presence_penalty: -2, frequency_penalty: 2, logit_bias: { '50256': -100 } }],
    [{ max_tokens: 0, echo: true, logprobs: 0 }],
    [{ stop: 'x' }],
    [{ stop: [] }],
    [{ stop: '' }],
    [{ stop: ['', 'x'] }],
    [{ top_p: 0 }],
    [{ seed: Number.MAX_SAFE_INTEGER }],
    [{ wibble: null, stream: true, stream_options: { wobble: null } }],
    [{ add_special_tokens: false }],
    [{ suffix: 'x' }],
    [{ suffix: '', prompt: [1], echo: true }],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }],
    [{ n: 2, best_of: 3, seed: -5, user: 'u' }],
    [{ stream: true, stream_options: { include_usage: true, include_obfuscation: false } }],
    [{ ignore_eos: true, min_tokens: 2, max_tokens: 2, stop_token_ids: [7], return_token_ids: true }],
    [{ include_stop_str_in_output: true, response_format: { type: 'text' } }],
    [{ suffix: null, temperature: null, stop: null, logprobs: null, n: null, stream: null, best_of: null }],
    [
      {
        metadata: { a: 'b' },
        store: true,
        service_tier: 'auto',
        prompt_cache_key: 'k',
        safety_identifier: 's',
      },
    ],
    [{ use_beam_search: false, length_penalty: 1, skip_special_tokens: true }],
  ])('takes %j', (fields) => {
    expect(completion(fields)).toEqual([]);
  });

  it.each([
    [{ prompt: undefined }, 'prompt: expected a string, an array of strings'],
    [{ prompt: [] }, 'or an array of such arrays, got an empty array'],
    [{ prompt: ['a', 1] }, 'prompt: expected a string'],
    [{ prompt: [[1], []] }, 'prompt: its array 1 is empty'],
    [{ prompt: [[1], ['a']] }, 'prompt: expected token ids'],
    [{ prompt: [-1] }, 'prompt: expected token ids'],
    [{ prompt: [1.5] }, 'prompt: expected token ids'],
    [{ prompt: [2 ** 31] }, 'prompt: expected token ids'],
    [{ model: '' }, 'model: Too small'],
    [{ model: 7 }, 'model: Invalid input: expected string, received number'],
    [{ temperature: 2.1 }, 'temperature: Too big: expected number to be <=2'],
    [{ temperature: -0.1 }, 'temperature: Too small'],
    [{ temperature: 'hot' }, 'temperature: Invalid input: expected number, received string'],
    [{ top_p: -0.1 }, 'top_p: Too small: expected number to be >=0'],
    [{ top_k: -2 }, 'top_k: Too small'],
    [{ n: 0 }, 'n: Too small'],
    [{ logprobs: 21 }, 'logprobs: Too big'],
    [{ logprobs: true }, 'logprobs: Invalid input: expected number'],
    [{ stop: 7 }, 'stop: expected a string of at most 1024 characters, or an array of at most 64'],
    [{ logit_bias: { '007': 1 } }, 'logit_bias.007: expected token ids as keys'],
    [{ logit_bias: { hello: 1 } }, 'logit_bias.hello: expected token ids as keys'],
    [{ logit_bias: { 5: 101 } }, 'logit_bias.5: Too big'],
    [{ seed: 2 ** 60 }, 'seed: expected a whole number of 64 bits'],
    [{ seed: 1.5 }, 'seed: expected a whole number of 64 bits'],
    [{ n: 3, best_of: 2 }, 'best_of: expected at least n (3)'],
    [{ n: 1, best_of: 2, stream: true }, 'best_of: cannot be larger than n with stream: true'],
    [{ n: 128, prompt: ['a', 'b', 'c'] }, 'prompt: expected at most 256 generations'],
    [{ min_tokens: 5, max_tokens: 4 }, 'min_tokens: expected at most max_tokens (4)'],
    [{ stream_options: { include_usage: true } }, 'stream_options: only allowed with stream: true'],
    [{ suffix: 'x', prompt: [1] }, 'suffix: goes only with a prompt that is text'],
    [{ suffix: 'x', echo: true }, 'suffix: not with echo: true'],
    [{ suffix: 'x', truncate_prompt_tokens: 5 }, 'suffix: not with truncate_prompt_tokens'],
    [{ response_format: { type: 'xml' } }, 'response_format.type: expected one of text, json_object'],
    [{ guided_regex: 'a', guided_choice: ['b'] }, 'guided_choice: only one of the fields for structure'],
    [{ structured_outputs: { lark: 'x' } }, 'structured_outputs.lark: is not a field of this request'],
    [{ length_penalty: 2 }, 'length_penalty: only with use_beam_search: true'],
    [{ early_stopping: 'never' }, 'early_stopping: only with use_beam_search: true'],
    [{ use_beam_search: true, early_stopping: 'always' }, 'early_stopping: expected true, false or "never"'],
    [{ use_beam_search: true, n: 17 }, 'n: expected at most 16 beams with use_beam_search: true'],
    [
      { use_beam_search: true, stream: true },
      'stream: not with use_beam_search: true: the answers are known only at the end',
    ],
    [{ use_beam_search: true, stop: ['x'] }, 'stop: not with use_beam_search: true'],
    [{ use_beam_search: true, guided_regex: 'x' }, 'guided_regex: not with use_beam_search: true'],
    [
      { use_beam_search: true, temperature: 0.5 },
      'temperature: not with use_beam_search: true, which compares what the model holds likely (only 0 or 1)',
    ],
    [{ temprature: 1 }, 'temprature: is not a field of this request'],
    [{ stream: true, stream_options: { usage: true } }, 'stream_options.usage: is not a field'],
    [{ messages: [] }, 'messages: is not a field of this request'],
  ])('refuses %j', (fields, fault) => {
    expect(completion(fields)).toEqual([expect.stringContaining(fault)]);
  });

  it('refuses a body that is no object', () => {
    expect(faults(CompletionRequestSchema, undefined)).toEqual([expect.stringContaining('expected object')]);
  });

  it('tells one prompt of token ids from many prompts', () => {
    expect(promptsOf('a')).toEqual(['a']);
    expect(promptsOf([1, 2])).toEqual([[1, 2]]);
    expect(promptsOf([[1], [2]])).toEqual([[1], [2]]);
    expect(promptsOf(['a', 'b'])).toEqual(['a', 'b']);
  });
});

describe('ChatRequestSchema', () => {
  it.each([
    [
      {
        messages: [
          { role: 'system', content: 's' },
          { role: 'user', content: [{ type: 'text', text: 'a' }] },
        ],
      },
    ],
    [{ messages: [{ role: 'developer', content: 'd', name: 'x' }] }],
    [{ max_completion_tokens: 5, max_tokens: 5, logprobs: true, top_logprobs: 20 }],
    [{ max_completion_tokens: 5, max_tokens: 6 }],
    [{ functions: null, messages: [{ role: 'user', content: 'x', images: null }] }],
    [
      {
        messages: [
          {
            type: 'message',
            id: 'm1',
            status: 'completed',
            weight: 0,
            role: 'assistant',
            content: 'x',
            reasoning: 'r',
          },
        ],
      },
    ],
    [{ tools: [{ type: 'function', function: { name: 'f', parameters: {} } }], tool_choice: 'none' }],
    [{ tool_choice: 'auto', parallel_tool_calls: true, tools: [] }],
    [{ response_format: { type: 'text' }, modalities: ['text'], n: 2 }],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'a', schema: {}, strict: true } } }],
    [{ structured_outputs: { choice: ['a', 'b'] } }],
    [{ guided_grammar: 'root ::= "a"' }],
    [{ tools: [{ type: 'function', function: { name: 'f', strict: true } }], tool_choice: 'required' }],
    [
      {
        tools: [{ type: 'function', function: { name: 'f' } }],
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'f' } }] },
        },
      },
    ],
    [{ chat_template_kwargs: { enable_thinking: false }, add_generation_prompt: false }],
    [
      {
        messages: [
          { role: 'user', content: 'q' },
          {
            role: 'assistant',
            content: null,
            refusal: null,
            annotations: [],
            tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
          },
          { role: 'tool', content: '4', tool_call_id: 'c' },
        ],
      },
    ],
  ])('takes %j', (fields) => {
    expect(chat(fields)).toEqual([]);
  });

  it.each([
    [{ messages: [] }, 'messages: Too small'],
    [{ messages: 'hi' }, 'messages: Invalid input: expected array'],
    [{ messages: [{ role: 'robot', content: 'x' }] }, 'messages.0.role: expected one of system, developer'],
    [{ messages: [{ role: 'user' }] }, 'messages.0.content: expected a string or an array of text parts'],
    [{ messages: [{ role: 'user', content: null }] }, 'messages.0.content: expected a string or an array'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      'messages.0.content.0.type: only "text" parts are supported, got "image_url"',
    ],
    [
      { messages: [{ role: 'tool', content: 'x' }] },
      'messages.0.tool_call_id: Invalid input: expected string',
    ],
    [{ messages: [{ role: 'user', content: 'x', images: [] }] }, 'messages.0.images: is not a field'],
    [{ tool_choice: 'required' }, 'tool_choice: a tool can only be called where there are tools'],
    [{ tool_choice: 'any' }, 'tool_choice: expected "auto", "none", "required"'],
    [
      {
        tools: [{ type: 'function', function: { name: 'g' } }],
        tool_choice: { type: 'function', function: { name: 'f' } },
      },
      'tool_choice: there is no tool "f"',
    ],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema: Invalid input'],
    [{ guided_json: '{' }, 'guided_json: expected the JSON text of a schema'],
    [{ top_logprobs: 2 }, 'top_logprobs: only allowed with logprobs: true'],
    [{ logprobs: 2 }, 'logprobs: Invalid input: expected boolean'],
    [{ messages: [{ role: 'user', content: 'x', type: 'reasoning' }] }, 'only "message" is supported'],
    [{ max_tokens: 0 }, 'max_tokens: Too small'],
    [{ chat_template_kwargs: { messages: [] } }, 'chat_template_kwargs: cannot hold "messages"'],
    [{ functions: [] }, 'functions: is not a field'],
    [{ best_of: 2 }, 'best_of: is not a field'],
  ])('refuses %j', (fields, fault) => {
    expect(chat(fields)).toEqual([expect.stringContaining(fault)]);
  });
});

describe('a seed', () => {
  it('may have 64 bits', () => {
    expect(completion({ seed: 2n ** 63n - 1n })).toEqual([]);
    expect(completion({ seed: -(2n ** 63n) })).toEqual([]);
    expect(completion({ seed: 2n ** 63n })).toEqual(['seed: expected a whole number of 64 bits']);
  });
});

describe('what is longer than a request may carry', () => {
  const many = (length: number, item: unknown = 'x') => Array.from({ length }, () => item);
  const message = { role: 'user', content: 'x' };

  it.each<[string, () => string[], string]>([
    ['prompts', () => completion({ prompt: many(257) }), 'prompt: expected at most 256 prompts, got 257'],
    ['stops', () => completion({ stop: many(65) }), 'stop: expected a string of at most 1024'],
    ['a stop', () => completion({ stop: 'x'.repeat(1025) }), 'stop: Too big: expected string to have <=1024'],
    [
      'stop tokens',
      () => completion({ stop_token_ids: many(65, 1) }),
      'stop_token_ids: expected at most 64, got 65',
    ],
    [
      'biases',
      () => completion({ logit_bias: Object.fromEntries(many(1025).map((_, i) => [i, 0])) }),
      'logit_bias: expected at most 1024, got 1025',
    ],
    ['messages', () => chat({ messages: many(2049, message) }), 'messages: expected at most 2048, got 2049'],
    [
      'parts',
      () => chat({ messages: [{ role: 'user', content: many(1025, { type: 'text', text: 'x' }) }] }),
      'messages.0.content: expected at most 1024, got 1025',
    ],
    ['tools', () => chat({ tools: many(129, {}) }), 'tools: expected at most 128, got 129'],
    [
      'arguments of a template',
      () => chat({ chat_template_kwargs: Object.fromEntries(many(65).map((_, i) => [`a${i}`, 0])) }),
      'chat_template_kwargs: expected at most 64, got 65',
    ],
  ])('is refused in one fault: %s', (_, check, fault) => {
    expect(check()).toEqual([expect.stringContaining(fault)]);
  });

  it('is refused without a look at its items', () => {
    const items: unknown[] = [];
    let looks = 0;
    Object.defineProperty(items, 0, { get: () => (looks += 1), enumerable: true });
    items.length = 1_000_000;
    expect(chat({ messages: items })).toHaveLength(1);
    expect(completion({ stop_token_ids: items })).toHaveLength(1);
    expect(looks).toBe(0);
  });
});

describe('the documentation of the requests', () => {
  it.each([CompletionRequestSchema, ChatRequestSchema])('can be written as JSON Schema', (schema) => {
    const documentation = z.toJSONSchema(schema, { io: 'input' });
    expect(documentation).toMatchObject({ type: 'object', additionalProperties: { type: 'null' } });
    expect(JSON.stringify(documentation)).not.toContain('$ref');
  });

  it.each([CompletionRequestSchema, ChatRequestSchema])(
    'names every field in docs/openai-compatibility.md',
    (schema) => {
      const page = readFileSync(
        join(import.meta.dirname, '../../../../docs/openai-compatibility.md'),
        'utf8',
      );
      const fields = Object.keys(schema.shape);
      expect(fields.filter((field) => !page.includes(`\`${field}\``))).toEqual([]);
    },
  );
});
