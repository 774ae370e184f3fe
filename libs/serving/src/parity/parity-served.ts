import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { InferenceEngine } from '../loop/inference-engine.js';
import { ownRequest } from '../loop/own-request.js';
import type { ScoredTokens } from './parity-comparison.js';
import type { ParityPrompts } from './parity-prompts.js';

/** Odd, so that chunks end inside pages and beside other requests' decodes. */
const CHUNK_TOKENS = 7;
/** Requests of tenants come first. */
const FAIRNESS_WEIGHT = 0.1;

export interface ServedRuns {
  readonly served: readonly ScoredTokens[];
  /** The prompts alone, by the base. */
  readonly base: readonly ScoredTokens[];
}

export interface ServedInput extends ParityPrompts {
  readonly engine: Pick<InferenceEngine, 'generate'>;
  /** The version's digest. */
  readonly adapter: string;
  /** Prompts with tokens beyond these are none of the base's. */
  readonly baseVocabulary: number;
  /** Names this check: no prefix of another one is reused. */
  readonly check: string;
}

/**
 * Scores the prompts as a tenant's requests are served: by the adapter from the pool, in chunks, then token by token, in
 * one batch with each other and with the base.
 */
export async function scoreServed(input: ServedInput, signal: AbortSignal): Promise<ServedRuns> {
  const { prompts, adapter, baseVocabulary } = input;
  const nothing = { tokens: [], logprobs: [] };
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  try {
    const [served, base] = await Promise.all([
      Promise.all(prompts.map((tokens) => scoreOne(input, { tokens, adapter }, either))),
      Promise.all(
        prompts.map((tokens) =>
          tokens.some((token) => token >= baseVocabulary) ? nothing : scoreOne(input, { tokens }, either),
        ),
      ),
    ]);
    const alone = base.map(({ tokens, logprobs }, i) => {
      const scores = (prompts[i]?.length ?? 0) - 1;
      return { tokens: tokens.slice(0, scores + 1), logprobs: logprobs.slice(0, scores) };
    });
    return { served, base: alone };
  } catch (error) {
    stop.abort(error);
    throw error;
  }
}

interface OneRun {
  readonly tokens: readonly number[];
  readonly adapter?: string;
}

async function scoreOne(input: ServedInput, run: OneRun, signal: AbortSignal): Promise<ScoredTokens> {
  const tokens = [...run.tokens];
  const logprobs: number[] = [];
  const best: number[] = [];
  const events = await input.engine.generate(requestOf(input, run), signal, CHUNK_TOKENS);
  for await (const event of events) {
    if (event.type === 'error') throw faultOf(event);
    if (event.type === 'prompt') {
      for (const { logprob, top } of event.tokens.slice(1)) {
        logprobs.push(logprob ?? Number.NaN);
        best.push(top[0]?.id ?? -1);
      }
    }
    if (event.type === 'tokens') {
      for (const { id, logprob, top } of event.scored ?? []) {
        tokens.push(id);
        logprobs.push(logprob);
        best.push(top[0]?.id ?? -1);
      }
    }
  }
  return { tokens, logprobs, best };
}

/** A step that failed says nothing of the adapter: no AppError, which would be the check's verdict. */
function faultOf({ code, message, shared }: Extract<GenerateEvent, { type: 'error' }>): Error {
  if (shared === true && code === 'internal_error') return new Error(message);
  return new AppError(code, { message });
}

function requestOf({ check, generate }: ServedInput, { tokens, adapter }: OneRun): GenerateRequest {
  return ownRequest(check, tokens, {
    fairnessWeight: FAIRNESS_WEIGHT,
    ...(adapter === undefined ? {} : { adapter }),
    maxTokens: generate,
    logprobs: 1,
    promptLogprobs: 1,
  });
}
