import { createInterface } from 'node:readline';
import type { ReadableStream } from 'node:stream/web';
import { adviceOn } from '../advice.js';
import { type ApiClient, errorOf } from '../api-client.js';
import { readAll } from '../ask.js';
import type { Call, Command } from '../command.js';
import { ApiError, CommandError } from '../faults.js';
import type { Printer } from '../printer.js';
import { readSse } from '../read-sse.js';
import type { Values } from '../values.js';

const PATH = '/v1/chat/completions';

interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

interface Chunk {
  readonly error?: object;
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
}

export const chat: Command = {
  path: ['chat'],
  summary: 'ask a model and stream its answer, or talk with it',
  operands: [
    { name: 'MODEL', help: 'the base model, or adapter, adapter@3, adapter:alias' },
    {
      name: 'TEXT',
      help: 'the question (default: standard input; on a terminal, a session)',
      optional: true,
    },
  ],
  options: {
    system: { kind: 'text', value: 'TEXT', help: 'a system message before it' },
    'max-tokens': { kind: 'text', value: 'N', help: 'the longest answer' },
    temperature: { kind: 'text', value: 'T', help: '0 is greedy' },
    seed: { kind: 'text', value: 'N', help: 'the same seed gives the same answer' },
  },
  notes: [
    'With --json the whole answer comes at once. In a session each question goes with all before it; /new begins anew,',
    '/quit or Ctrl-D ends it.',
  ],
  async run(call) {
    const { values, print, api, input } = call;
    const asked = values.optionalOperand('TEXT');
    if (asked === undefined && input.isTTY && !values.flag('json')) return session(call);
    const text = asked ?? (await readAll(input));
    if (text.trim() === '') throw new CommandError('there is nothing to ask');
    const body = requestOf(values, [...opening(values), { role: 'user', content: text }]);
    const client = await api();
    if (values.flag('json')) return print.result(await client.send<object>('POST', PATH, body), () => '');
    await stream(client, body, print);
  },
};

/** Questions and answers in turn, until the user ends it. */
async function session(call: Call): Promise<void> {
  const { values, print, api, input, signal } = call;
  const client = await api();
  const lines = createInterface({ input, output: print.err, prompt: '> ' });
  let messages = opening(values);
  print.note(`${values.operand('MODEL')}; /new begins anew, /quit ends`);
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === '/quit' || signal.aborted) break;
    if (text === '/new') messages = opening(values);
    else if (text !== '') {
      const asked: Message[] = [...messages, { role: 'user', content: text }];
      try {
        const answer = await stream(client, requestOf(values, asked), print);
        messages = [...asked, { role: 'assistant', content: answer }];
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        print.note(adviceOn(error)); // the question is not part of the talk
      }
    }
    lines.prompt();
  }
  lines.close();
}

/** Writes the answer as it comes, and returns it. */
async function stream(client: ApiClient, body: object, print: Printer): Promise<string> {
  const answer = await client.fetch('POST', PATH, { body: { ...body, stream: true } });
  let whole = '';
  for await (const data of readSse(answer.body as ReadableStream<Uint8Array>)) {
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw errorOf(200, data, answer.headers.get('x-request-id'));
    const text = chunk.choices?.[0]?.delta?.content ?? '';
    print.out.write(text);
    whole += text;
  }
  if (!whole.endsWith('\n')) print.write('');
  return whole;
}

function opening(values: Values): Message[] {
  const system = values.text('system');
  return system === undefined ? [] : [{ role: 'system', content: system }];
}

function requestOf(values: Values, messages: readonly Message[]): object {
  return {
    model: values.operand('MODEL'),
    messages,
    max_tokens: values.integer('max-tokens', { min: 1 }),
    temperature: values.number('temperature', { min: 0, max: 100 }),
    seed: values.integer('seed', { min: 0 }),
  };
}
