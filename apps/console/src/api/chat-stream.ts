import type { CompletionUsage } from '#contracts/openai/usage.js';
import { ApiError, request } from './client';

export interface ScoredPiece {
  readonly token: string;
  readonly logprob: number;
  readonly top_logprobs: readonly { readonly token: string; readonly logprob: number }[];
}

export interface StreamUpdate {
  readonly text?: string;
  readonly scored?: readonly ScoredPiece[];
  readonly usage?: CompletionUsage;
  readonly finishReason?: string;
}

interface Chunk {
  readonly error?: { readonly message: string; readonly code: string; readonly param: string | null };
  readonly usage?: CompletionUsage | null;
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
    readonly logprobs?: { readonly content?: readonly ScoredPiece[] | null } | null;
  }[];
}

export interface StreamOptions {
  readonly tenant: string | undefined;
  readonly signal: AbortSignal;
  readonly onUpdate: (update: StreamUpdate) => void;
}

/** Streams an answer of `/v1/chat/completions` or `/v1/completions`; returns when it has ended. */
export async function streamAnswer(path: string, body: object, options: StreamOptions): Promise<void> {
  const { tenant, signal, onUpdate } = options;
  const response = await request(path, {
    method: 'POST',
    body: { ...body, stream: true, stream_options: { include_usage: true } },
    tenant,
    signal,
  });
  const requestId = response.headers.get('x-request-id');
  for await (const data of eventsOf(response)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error)
      throw new ApiError(chunk.error.message, 500, chunk.error.code, chunk.error.param, requestId);
    const [choice] = chunk.choices ?? [];
    onUpdate({
      text: choice?.delta?.content ?? choice?.text ?? '',
      ...(choice?.logprobs?.content ? { scored: choice.logprobs.content } : {}),
      ...(chunk.usage ? { usage: chunk.usage } : {}),
      ...(choice?.finish_reason ? { finishReason: choice.finish_reason } : {}),
    });
  }
}

/** The data of each server-sent event. */
async function* eventsOf(response: Response): AsyncGenerator<string> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const events = rest.split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const data = event
          .split('\n')
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5).trimStart());
        if (data.length > 0) yield data.join('\n');
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
