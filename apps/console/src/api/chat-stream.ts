import type { CompletionUsage } from '#contracts/openai/usage.js';
import { ApiError, request } from './client';
import { eventsOf } from './events';

export interface ScoredPiece {
  readonly token: string;
  readonly logprob: number;
  readonly top_logprobs: readonly { readonly token: string; readonly logprob: number }[];
}

/** A call of a tool that the model wants made. */
export interface WantedCall {
  readonly name: string;
  /** JSON, as the model wrote it. */
  readonly arguments: string;
}

/** An answer as far as it has come. */
export interface StreamedAnswer {
  readonly text: string;
  /** What the model thought before. */
  readonly reasoning: string;
  readonly calls: readonly WantedCall[];
  /** One per token, where log-probabilities were asked for. */
  readonly scored: readonly ScoredPiece[];
  readonly usage?: CompletionUsage;
  readonly finishReason?: string;
  readonly ttft_ms?: number;
  /** Once it is whole. */
  readonly total_ms?: number;
}
export const NO_ANSWER: StreamedAnswer = { text: '', reasoning: '', calls: [], scored: [] };

/** As chats have them, or as completions do. */
type ChunkLogprobs =
  | { readonly content?: readonly ScoredPiece[] | null }
  | {
      readonly tokens: readonly string[];
      readonly token_logprobs: readonly (number | null)[];
      readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[] | null;
    };

/** A call comes in pieces, which belong together by their index. */
interface CallPiece {
  readonly index: number;
  readonly function?: { readonly name?: string | null; readonly arguments?: string | null };
}

interface Chunk {
  readonly error?: { readonly message: string; readonly code: string; readonly param: string | null };
  readonly usage?: CompletionUsage | null;
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly tool_calls?: readonly CallPiece[] | null;
    };
    readonly finish_reason?: string | null;
    readonly logprobs?: ChunkLogprobs | null;
  }[];
}

export interface StreamOptions {
  readonly tenant: string | undefined;
  readonly signal: AbortSignal;
  readonly onAnswer: (answer: StreamedAnswer) => void;
}

/** Streams an answer of `/v1/chat/completions` or `/v1/completions`; resolves to the whole of it. */
export async function streamAnswer(
  path: string,
  body: object,
  options: StreamOptions,
): Promise<StreamedAnswer> {
  const { tenant, signal, onAnswer } = options;
  const began_ms = performance.now();
  const response = await request(path, {
    method: 'POST',
    body: { ...body, stream: true, stream_options: { include_usage: true } },
    tenant,
    signal,
  });
  const requestId = response.headers.get('x-request-id');
  let answer = NO_ANSWER;
  for await (const data of eventsOf(response)) {
    if (data === '[DONE]') break;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error)
      throw new ApiError(chunk.error.message, 500, chunk.error.code, chunk.error.param, requestId);
    answer = withChunk(answer, chunk, performance.now() - began_ms);
    onAnswer(answer);
  }
  answer = { ...answer, total_ms: performance.now() - began_ms };
  onAnswer(answer);
  return answer;
}

function withChunk(answer: StreamedAnswer, { choices, usage }: Chunk, elapsed_ms: number): StreamedAnswer {
  const [choice] = choices ?? [];
  const text = choice?.delta?.content ?? choice?.text ?? '';
  const reasoning = choice?.delta?.reasoning_content ?? '';
  const pieces = choice?.delta?.tool_calls ?? [];
  const silent = text === '' && reasoning === '' && pieces.length === 0;
  const ttft_ms = answer.ttft_ms ?? (silent ? undefined : elapsed_ms);
  return {
    ...answer,
    text: answer.text + text,
    reasoning: answer.reasoning + reasoning,
    calls: pieces.reduce(withPiece, answer.calls),
    scored: [...answer.scored, ...piecesOf(choice?.logprobs)],
    ...(ttft_ms === undefined ? {} : { ttft_ms }),
    ...(usage ? { usage } : {}),
    ...(choice?.finish_reason ? { finishReason: choice.finish_reason } : {}),
  };
}

function withPiece(
  calls: readonly WantedCall[],
  { index, function: piece }: CallPiece,
): readonly WantedCall[] {
  const known = calls[index] ?? { name: '', arguments: '' };
  const next = [...calls];
  next[index] = {
    name: known.name + (piece?.name ?? ''),
    arguments: known.arguments + (piece?.arguments ?? ''),
  };
  return next;
}

function piecesOf(logprobs: ChunkLogprobs | null | undefined): readonly ScoredPiece[] {
  if (!logprobs) return [];
  if (!('tokens' in logprobs)) return logprobs.content ?? [];
  return logprobs.tokens.map((token, index) => ({
    token,
    logprob: logprobs.token_logprobs[index] ?? 0,
    top_logprobs: Object.entries(logprobs.top_logprobs?.[index] ?? {}).map(([other, logprob]) => ({
      token: other,
      logprob,
    })),
  }));
}
