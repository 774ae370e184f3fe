import type { GenerateEvent, ScoredToken } from '#contracts/engine-protocol.js';

type EventOf<T extends GenerateEvent['type']> = Extract<GenerateEvent, { type: T }>;

/** Short ways to write what an engine sends. */
export const start = (promptTokens = 2, promptTokenIds?: number[]): EventOf<'start'> => ({
  type: 'start',
  promptTokens,
  ...(promptTokenIds ? { promptTokenIds } : {}),
});

export const tokens = (text: string, ids: number[], scored?: ScoredToken[]): EventOf<'tokens'> => ({
  type: 'tokens',
  text,
  ids,
  ...(scored ? { scored } : {}),
});

export const finish = (more: Partial<EventOf<'finish'>> = {}): EventOf<'finish'> => ({
  type: 'finish',
  reason: 'stop',
  stopReason: null,
  text: '',
  usage: { promptTokens: 2, cachedTokens: 1, completionTokens: 3 },
  timing: { queue_ms: 0, ttft_ms: 1, total_ms: 2 },
  ...more,
});

/** A token whose bytes are its text, with one alternative. */
export const scored = (id: number, text: string, logprob: number, other?: string): ScoredToken => ({
  ...token(id, text, logprob),
  top: other === undefined ? [] : [token(id, text, logprob), token(id + 100, other, logprob - 1)],
});

const token = (id: number, text: string, logprob: number) => ({
  id,
  text,
  bytes: [...Buffer.from(text)],
  logprob,
});
