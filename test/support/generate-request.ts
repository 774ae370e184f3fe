import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';

/** A greedy request with every field at rest but those given. */
export function generateRequest(
  input: GenerateRequest['input'],
  overrides: Partial<GenerateRequest> = {},
): GenerateRequest {
  return {
    requestId: 'test',
    cacheSalt: 'tenant',
    fairnessKey: 'tenant',
    input,
    maxTokens: 20,
    minTokens: 0,
    ignoreEos: false,
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    sampling: NEUTRAL_SAMPLING,
    returnPromptTokens: false,
    ...overrides,
  };
}

export const idsOf = (events: readonly GenerateEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'tokens' ? event.ids : []));

export const textOf = (events: readonly GenerateEvent[]): string =>
  events.map((event) => (event.type === 'tokens' || event.type === 'finish' ? event.text : '')).join('');

export const finishOf = (events: readonly GenerateEvent[]) => events.find((event) => event.type === 'finish');
