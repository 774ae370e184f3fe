import type { BaseModel } from '#contracts/base-model.js';
import { promptsOf } from '#contracts/openai/completion-request.js';
import type { EmbeddingsRequest } from '#contracts/openai/embeddings.js';
import { AppError } from '#runtime/app-error.js';
import { textInput } from './completion-plan.js';
import type { GenerationPlan } from './generation-plan.js';
import { promptingOf, samplingOf } from './sampling-plan.js';

/** One sequence for each input: its prompt is computed and nothing is drawn. */
export function planEmbeddings(request: EmbeddingsRequest): GenerationPlan {
  const { model, user, cache_salt, dimensions, lora_scale } = request;
  const sequences = promptsOf(request.input).map((input, index) => ({
    prompt: index,
    request: {
      ...NOTHING_DRAWN,
      ...promptingOf({ ...request, return_token_ids: false, speculation: null, service_tier: null }),
      input:
        typeof input === 'string' ? textInput(input, request) : { kind: 'tokens' as const, tokens: input },
      embedding: true as const,
    },
  }));
  return {
    model,
    user: user ?? undefined,
    cacheSalt: cache_salt ?? undefined,
    loraScale: lora_scale ?? undefined,
    sequences,
    dimensions: dimensions ?? undefined,
    promptField: 'input',
  };
}

/** Of a prompt that is only computed. */
const NOTHING_DRAWN = {
  maxTokens: 0,
  minTokens: 0,
  ignoreEos: false,
  stop: [],
  stopTokenIds: [],
  includeStop: false,
  sampling: samplingOf({ logit_bias: null, seed: null }, 0),
};

/** Refuses more numbers than the model's vectors have. */
export function checkDimensions(
  { dimensions }: GenerationPlan,
  { hiddenSize }: Pick<BaseModel, 'hiddenSize'>,
): void {
  if (dimensions === undefined || dimensions <= hiddenSize) return;
  throw new AppError('invalid_request', {
    message: `dimensions: expected at most ${hiddenSize}, as many as the model's vectors have, got ${dimensions}`,
    param: 'dimensions',
  });
}
