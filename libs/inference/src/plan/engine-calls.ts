import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { Merged } from '#runtime/merge-streams.js';
import type { Sequence, SequenceRequest } from './generation-plan.js';
import { seedOf } from './sampling-plan.js';

/** One request to an engine: all answers to one prompt. */
export interface EngineCall {
  /** Index of its first sequence in the plan; the others follow. */
  readonly first: number;
  readonly n: number;
  /** The engine draws answer i with seed + i. */
  readonly request: SequenceRequest;
}

/** A prompt crosses to the engine once, however many answers are wanted: neighbours that differ in the seed alone go together. */
export function engineCalls(sequences: readonly Sequence[]): EngineCall[] {
  const calls: { first: number; n: number; request: SequenceRequest; prompt: number }[] = [];
  for (const [index, { prompt, request }] of sequences.entries()) {
    const last = calls.at(-1);
    if (last?.prompt === prompt && seedAfter(last.request, last.n) === request.sampling.seed) last.n += 1;
    else calls.push({ first: index, n: 1, request, prompt });
  }
  return calls.map(({ first, n, request }) => ({ first, n, request }));
}

function seedAfter({ sampling: { seed } }: SequenceRequest, answers: number): number | string | undefined {
  return seed === undefined ? undefined : seedOf(seed, answers);
}

/** The events of calls as those of the plan's sequences: what an engine says once of a prompt holds for all its answers. */
export async function* bySequence(
  merged: AsyncIterable<Merged<GenerateEvent>>,
  calls: readonly EngineCall[],
): AsyncGenerator<Merged<GenerateEvent>> {
  for await (const { source, value } of merged) {
    const { first, n } = calls[source] as EngineCall;
    if (value.type === 'start' || value.type === 'prompt') {
      for (let answer = 0; answer < n; answer++) yield { source: first + answer, value };
    } else if (value.type === 'error' || value.type === 'embedding') yield { source: first, value };
    else yield { source: first + (value.choice ?? 0), value };
  }
}
