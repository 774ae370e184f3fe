import type { ReadableStream } from 'node:stream/web';
import { type ApiClient, errorOf } from '../api-client.js';
import { benchFigures, type BenchFigures, type Sample } from '../bench-figures.js';
import type { Command } from '../command.js';
import { CommandError } from '../faults.js';
import type { Printer } from '../printer.js';
import { readSse } from '../read-sse.js';
import { recordText } from '../table.js';

interface Load {
  readonly models: readonly string[];
  readonly requests: number;
  readonly concurrency: number;
  readonly promptWords: number;
  readonly maxTokens: number;
}

interface Chunk {
  readonly error?: object;
  readonly choices?: readonly { readonly text?: string }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

export const bench: Command = {
  path: ['bench'],
  summary: 'measure time to first token, time per token and throughput',
  operands: [{ name: 'MODEL[,MODEL...]', help: 'what to call; several are called in turn' }],
  options: {
    requests: { kind: 'text', value: 'N', help: 'in all (default 32)' },
    concurrency: { kind: 'text', value: 'N', help: 'at the same time (default 4)' },
    'prompt-words': {
      kind: 'text',
      value: 'N',
      help: 'words of each prompt, no two prompts alike (default 64)',
    },
    'max-tokens': { kind: 'text', value: 'N', help: 'tokens of each answer (default 32)' },
  },
  notes: [
    'A closed loop: the next request starts when one has ended. The requests are metered like any other.',
  ],
  async run({ values, print, api, signal }) {
    const load: Load = {
      models: values.operand('MODEL[,MODEL...]').split(','),
      requests: values.integer('requests', { min: 1, max: 1_000_000 }) ?? 32,
      concurrency: values.integer('concurrency', { min: 1, max: 1_000 }) ?? 4,
      promptWords: values.integer('prompt-words', { min: 1, max: 100_000 }) ?? 64,
      maxTokens: values.integer('max-tokens', { min: 1, max: 100_000 }) ?? 32,
    };
    const figures = await runLoad(await api(), load, { print, signal });
    print.result({ ...load, ...figures }, () => figuresText(figures));
    if (figures.requests === 0) throw new CommandError('no request succeeded');
  },
};

async function runLoad(
  client: ApiClient,
  load: Load,
  { print, signal }: { readonly print: Printer; readonly signal: AbortSignal },
): Promise<BenchFigures> {
  const samples: Sample[] = [];
  const faults = new Map<string, number>();
  const run = String(Date.now()); // keeps the prefix cache of an earlier run out
  let next = 0;
  const started_ms = performance.now();
  const worker = async (): Promise<void> => {
    while (next < load.requests && !signal.aborted) {
      const index = next++;
      try {
        samples.push(await measure(client, load, index, run));
      } catch (error) {
        signal.throwIfAborted();
        const text = (error as Error).message;
        faults.set(text, (faults.get(text) ?? 0) + 1);
      }
      if (print.err.isTTY) print.err.write(`\r\u001b[K${samples.length} of ${load.requests}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(load.concurrency, load.requests) }, worker));
  const seconds = (performance.now() - started_ms) / 1000;
  if (print.err.isTTY) print.err.write('\r\u001b[K');
  for (const [text, count] of faults) print.err.write(`${count} failed: ${text}\n`);
  const errors = [...faults.values()].reduce((sum, count) => sum + count, 0);
  return benchFigures(samples, errors, seconds);
}

async function measure(client: ApiClient, load: Load, index: number, run: string): Promise<Sample> {
  const body = {
    model: load.models[index % load.models.length],
    prompt: `${run} ${index} ${'word '.repeat(load.promptWords)}`,
    max_tokens: load.maxTokens,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  };
  const started_ms = performance.now();
  const answer = await client.fetch('POST', '/v1/completions', { body });
  let first_ms: number | undefined;
  let last_ms = 0;
  let completionTokens = 0;
  for await (const data of readSse(answer.body as ReadableStream<Uint8Array>)) {
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw errorOf(200, data, answer.headers.get('x-request-id'));
    if (chunk.usage) completionTokens = chunk.usage.completion_tokens;
    if (chunk.choices?.length) {
      last_ms = performance.now() - started_ms;
      first_ms ??= last_ms;
    }
  }
  if (first_ms === undefined) throw new CommandError('the stream ended without a token');
  return { ttft_ms: first_ms, total_ms: last_ms, completionTokens };
}

function figuresText(figures: BenchFigures): string {
  const spread = (values: BenchFigures['ttft_ms']): string =>
    values === null
      ? '-'
      : `p50 ${values.p50.toFixed(1)}  p90 ${values.p90.toFixed(1)}  p99 ${values.p99.toFixed(1)} ms`;
  return recordText({
    requests: `${figures.requests} in ${figures.seconds.toFixed(2)} s, ${figures.errors} failed`,
    throughput: `${figures.completion_tokens_per_second.toFixed(1)} tokens/s, ${figures.requests_per_second.toFixed(2)} requests/s`,
    TTFT: spread(figures.ttft_ms),
    TPOT: spread(figures.tpot_ms),
  });
}
