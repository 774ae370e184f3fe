import type { Made } from '#contracts/openai/bounded.js';
import type { EmbeddingsRequest } from '#contracts/openai/embeddings.js';
import { type RerankRequest, type ScoreRequest, sidesOf } from '#contracts/openai/score.js';
import { AppError } from '#runtime/app-error.js';
import { planEmbeddings } from './embedding-plan.js';
import type { GenerationPlan } from './generation-plan.js';

/** Two texts to compare, by their index among the plan's sequences. */
export type Pair = readonly [first: number, second: number];

/** Texts as vectors, and which of them to compare. */
export interface Comparison {
  readonly plan: GenerationPlan;
  readonly pairs: readonly Pair[];
}

/** One text of the first side is compared with each of the second, several with those at their place. */
export function planScores(request: ScoreRequest): Comparison {
  const sides = sidesOf(request);
  if (!sides) throw new AppError('invalid_request', { param: 'text_1' });
  const [first, second] = [[sides.first].flat(), [sides.second].flat()];
  const pairs = second.map((_, index): Pair => [first.length === 1 ? 0 : index, first.length + index]);
  const plan = { ...vectorsOf(request, [...first, ...second]), promptField: sides.names[1] };
  return { plan, pairs };
}

export function planRerank(request: RerankRequest): Comparison {
  const documents = documentsOf(request);
  const pairs = documents.map((_, index): Pair => [0, index + 1]);
  const plan = vectorsOf(request, [request.query, ...documents]);
  return { plan: { ...plan, promptField: 'documents' }, pairs };
}

export function documentsOf({ documents }: RerankRequest): string[] {
  return documents.map((document) => (typeof document === 'string' ? document : document.text));
}

type AskedFields = Pick<
  Made<EmbeddingsRequest>,
  | 'model'
  | 'user'
  | 'lora_scale'
  | 'truncate_prompt_tokens'
  | 'add_special_tokens'
  | 'priority'
  | 'cache_salt'
>;

function vectorsOf(request: AskedFields, input: string[]): GenerationPlan {
  const { model, user, lora_scale, truncate_prompt_tokens, add_special_tokens, priority, cache_salt } =
    request;
  const asked = {
    model,
    user,
    lora_scale,
    truncate_prompt_tokens,
    add_special_tokens,
    priority,
    cache_salt,
    input,
  };
  return planEmbeddings(asked as EmbeddingsRequest);
}
