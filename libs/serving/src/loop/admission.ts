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
  const inVocabulary = (ids: readonly number[], param: string): void => {
    const wrong = ids.find((id) => id >= limits.vocabSize);
    if (wrong !== undefined) {
      throw invalid(`${param}: ${wrong} is no token id; the model has ${limits.vocabSize} tokens.`, param);
    }
  };
  if (request.input.kind === 'tokens') inVocabulary(request.input.tokens, 'prompt');
  inVocabulary(request.stopTokenIds, 'stop_token_ids');
  inVocabulary(
    request.sampling.logitBias.map(({ token }) => token),
    'logit_bias',
  );
  if (request.maxTokens !== undefined && request.minTokens > request.maxTokens) {
    throw invalid(
      `min_tokens (${request.minTokens}) must not be more than max_tokens (${request.maxTokens}).`,
      'min_tokens',
    );
  }
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
