import { randomUUID } from 'node:crypto';
import { AppError } from '#runtime/app-error.js';
import type { InferenceEngine } from './loop/inference-engine.js';
import { ownRequest } from './loop/own-request.js';

/** Prompt lengths and answers at once: single decodes, small batches of them, chunks of a prompt. */
const ROUNDS = [
  { promptTokens: 4, requests: 1 },
  { promptTokens: 48, requests: 4 },
  { promptTokens: 160, requests: 1 },
  { promptTokens: 16, requests: 12 },
] as const;
const ANSWER_TOKENS = 8;
/** It leaves before it has as many. */
const MOST_TOKENS = 64;
/** Then it stops after the next token: a large model on a small machine shall not start much slower for it. */
const ENOUGH_MS = 1_500;

interface WarmedEngine {
  readonly engine: Pick<InferenceEngine, 'generate'>;
  /** What a request may have. */
  readonly maxContext: number;
  readonly vocabSize: number;
  readonly maxSequences: number;
}

/**
 * Computes a few steps without adapters before the first request comes: the first steps of a process are slow, and what
 * adapters cost is told by comparison with steps that have none.
 */
export async function warmUp({ engine, maxContext, vocabSize, maxSequences }: WarmedEngine): Promise<void> {
  const until_ms = performance.now() + ENOUGH_MS;
  for (const [round, { promptTokens, requests }] of ROUNDS.entries()) {
    if (performance.now() > until_ms) return;
    if (promptTokens + MOST_TOKENS > maxContext) continue;
    const many = Math.min(requests, maxSequences);
    await Promise.all(
      Array.from({ length: many }, (_, index) => {
        const token = (at: number): number => (1 + round + index + 7 * at) % vocabSize;
        const tokens = Array.from({ length: promptTokens }, (__, at) => token(at));
        return compute(engine, tokens, until_ms);
      }),
    );
  }
}

/** Leaves like a client that goes away: what it took says nothing of how long answers usually are. */
async function compute(engine: WarmedEngine['engine'], tokens: number[], until_ms: number): Promise<void> {
  const enough = new AbortController();
  let generated = 0;
  const fields = { fairnessKey: 'warm-up', maxTokens: MOST_TOKENS };
  const request = ownRequest(`warm-up-${randomUUID()}`, tokens, fields);
  for await (const event of await engine.generate(request, enough.signal)) {
    if (event.type === 'error') throw new AppError(event.code, { message: event.message });
    if (event.type === 'tokens') generated += event.ids.length;
    if (generated >= ANSWER_TOKENS || performance.now() > until_ms) break;
  }
  enough.abort(new AppError('client_closed_request'));
}
