import { type CompletionRequest, promptsOf } from '#contracts/openai/completion-request.js';
import type { GenerationPlan } from './generation-plan.js';
import {
  beamOf,
  defaultedOf,
  endingOf,
  listedOf,
  promptingOf,
  samplingOf,
  structureOf,
} from './sampling-plan.js';

/** OpenAI's default of /v1/completions. */
const DEFAULT_MAX_TOKENS = 16;

/** One sequence for each prompt and alternative; a prompt's sequences do not depend on the other prompts. */
export function planCompletion(request: CompletionRequest): GenerationPlan {
  const candidates = request.best_of ?? request.n ?? 1;
  const picksBest = !request.use_beam_search && candidates > (request.n ?? 1);
  const logprobs = request.logprobs ?? (picksBest ? 0 : undefined);
  const structure = structureOf(request);
  const defaulted = defaultedOf(request, request.max_tokens);
  const sequences = promptsOf(request.prompt).flatMap((prompt, index) =>
    Array.from({ length: candidates }, (_, alternative) => ({
      prompt: index,
      request: {
        ...endingOf(request),
        ...promptingOf(request),
        ...structure,
        input:
          typeof prompt === 'string'
            ? textInput(prompt, request)
            : ({ kind: 'tokens', tokens: prompt } as const),
        maxTokens: request.max_tokens ?? DEFAULT_MAX_TOKENS,
        sampling: samplingOf(request, alternative),
        defaulted,
        ...beamOf(request, defaulted),
        ...(logprobs === undefined ? {} : { logprobs }),
        ...listedOf(request),
        ...promptLogprobsOf(request, prompt),
      },
    })),
  );
  const { model, user, cache_salt, lora_scale } = request;
  return {
    model,
    user: user ?? undefined,
    cacheSalt: cache_salt ?? undefined,
    loraScale: lora_scale ?? undefined,
    sequences,
    promptField: 'prompt',
  };
}

export function textInput(
  text: string,
  {
    add_special_tokens,
    suffix,
  }: Pick<CompletionRequest, 'add_special_tokens'> & Partial<Pick<CompletionRequest, 'suffix'>>,
) {
  return {
    kind: 'text' as const,
    text,
    ...(suffix ? { suffix } : {}),
    ...(add_special_tokens === false ? { addSpecialTokens: false } : {}),
  };
}

type PromptScoring = Pick<
  CompletionRequest,
  'echo' | 'logprobs' | 'prompt_logprobs' | 'truncate_prompt_tokens'
>;

/**
 * With echo the prompt's log-probabilities may be wanted; of a prompt of token ids, or one that is cut, only scoring tells
 * its text.
 */
export function promptLogprobsOf(
  request: PromptScoring,
  prompt: string | number[],
): { promptLogprobs?: number } {
  const { echo, logprobs, prompt_logprobs, truncate_prompt_tokens } = request;
  const echoed = typeof prompt !== 'string' || typeof truncate_prompt_tokens === 'number' ? 0 : undefined;
  const wanted = [prompt_logprobs, ...(echo ? [logprobs, echoed] : [])].filter(
    (count) => typeof count === 'number',
  );
  return wanted.length > 0 ? { promptLogprobs: Math.max(...wanted) } : {};
}
