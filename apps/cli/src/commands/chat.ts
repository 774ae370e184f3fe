import type { ReadableStream } from 'node:stream/web';
import { errorOf } from '../api-client.js';
import { readAll } from '../ask.js';
import type { Call, Command } from '../command.js';
import { CommandError, UsageError } from '../faults.js';
import { readSse } from '../read-sse.js';

interface Chunk {
  readonly error?: object;
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
}

export const chat: Command = {
  path: ['chat'],
  summary: 'ask a model and stream its answer',
  operands: [
    { name: 'MODEL', help: 'the base model, or adapter, adapter@3, adapter:alias' },
    { name: 'TEXT', help: 'the question (default: standard input)', optional: true },
  ],
  options: {
    system: { kind: 'text', value: 'TEXT', help: 'a system message before it' },
    'max-tokens': { kind: 'text', value: 'N', help: 'the longest answer' },
    temperature: { kind: 'text', value: 'T', help: '0 is greedy' },
    seed: { kind: 'text', value: 'N', help: 'the same seed gives the same answer' },
  },
  notes: ['With --json the whole answer comes at once.'],
  async run(call) {
    const { values, print, api } = call;
    const body = await requestOf(call);
    const client = await api();
    const path = '/v1/chat/completions';
    if (values.flag('json')) return print.result(await client.send<object>('POST', path, body), () => '');
    const answer = await client.fetch('POST', path, { body: { ...body, stream: true } });
    let last = '';
    for await (const data of readSse(answer.body as ReadableStream<Uint8Array>)) {
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw errorOf(200, data, answer.headers.get('x-request-id'));
      const text = chunk.choices?.[0]?.delta?.content ?? '';
      print.out.write(text);
      last = text || last;
    }
    if (!last.endsWith('\n')) print.write('');
  },
};

async function requestOf({ values, input }: Call): Promise<object> {
  const text = values.optionalOperand('TEXT') ?? (await piped(input));
  if (text.trim() === '') throw new CommandError('there is nothing to ask');
  const system = values.text('system');
  return {
    model: values.operand('MODEL'),
    messages: [
      ...(system === undefined ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: text },
    ],
    max_tokens: values.integer('max-tokens', { min: 1 }),
    temperature: values.number('temperature', { min: 0, max: 100 }),
    seed: values.integer('seed', { min: 0 }),
  };
}

async function piped(input: NodeJS.ReadStream): Promise<string> {
  if (input.isTTY) throw new UsageError('TEXT is missing: the question');
  return readAll(input);
}
