import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';

export interface ModelLimits {
  readonly vocabSize: number;
  /** Tokens that one request may have in all. Never more than the KV cache holds. */
  readonly maxContext: number;
}

/** The model's limits, or what is left of them for this request. */
export function limitsFor(
  { maxContext }: Pick<GenerateRequest, 'maxContext'>,
  { vocabSize, maxContext: most }: ModelLimits,
): ModelLimits {
  return { vocabSize, maxContext: Math.min(maxContext ?? most, most) };
}

/** Refuses what is wrong with a request whatever its prompt's tokens are. */
export function checkRequest(request: GenerateRequest, limits: ModelLimits): void {
  if (request.input.kind === 'tokens') checkTokens(request.input.tokens, 'prompt', limits);
  checkTokens(request.stopTokenIds, 'stop_token_ids', limits);
  const biased = request.sampling.logitBias.map(({ token }) => token);
  checkTokens(biased, 'logit_bias', limits);
  checkTokens(request.allowedTokenIds ?? [], 'allowed_token_ids', limits);
  checkTokens(request.logprobTokenIds ?? [], 'logprob_token_ids', limits);
  if (request.maxTokens !== undefined && request.minTokens > request.maxTokens) {
    throw invalid(
      `min_tokens (${request.minTokens}) must not be more than max_tokens (${request.maxTokens}).`,
      'min_tokens',
    );
  }
}

/** Refuses ids that the model does not have; `param` names their field. */
export function checkTokens(
  ids: readonly number[],
  param: string,
  { vocabSize }: Pick<ModelLimits, 'vocabSize'>,
): void {
  const wrong = ids.find((id) => id >= vocabSize);
  if (wrong === undefined) return;
  throw invalid(`${param}: ${wrong} is no token id; the model has ${vocabSize} tokens.`, param);
}

/** How many tokens the request may generate; refuses a prompt that leaves no room. */
export function completionLimit(
  promptTokens: number,
  maxTokens: number | undefined,
  { maxContext }: ModelLimits,
): number {
  if (promptTokens === 0) throw invalid('The prompt is empty: it has no tokens.', 'prompt');
  const room = maxContext - promptTokens;
  if (room < 0 || (room === 0 && maxTokens !== 0)) {
    throw new AppError('context_length_exceeded', {
      message: `The prompt has ${promptTokens} tokens, but prompt and completion may have ${maxContext} in all.`,
      param: 'prompt',
    });
  }
  return Math.min(maxTokens ?? room, room);
}

function invalid(message: string, param: string): AppError {
  return new AppError('invalid_request', { message, param });
}
