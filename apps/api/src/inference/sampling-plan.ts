import { DEFAULTED_FIELDS, type Sampling } from '#contracts/engine-protocol.js';
import type { CompletionRequest } from '#contracts/openai/completion-request.js';
import type { SequenceRequest } from './generation-plan.js';

type SamplingFields = Pick<
  CompletionRequest,
  | 'temperature'
  | 'top_p'
  | 'top_k'
  | 'min_p'
  | 'presence_penalty'
  | 'frequency_penalty'
  | 'repetition_penalty'
  | 'logit_bias'
  | 'seed'
>;

/** The sampling of a prompt's `alternative`-th choice. */
export function samplingOf(request: SamplingFields, alternative: number): Sampling {
  const { top_k, seed } = request;
  return {
    temperature: request.temperature ?? 1,
    // The engine's is above 0: so small a share is the first token's alone.
    topP: request.top_p === 0 ? SMALLEST_TOP_P : (request.top_p ?? 1),
    // vLLM writes "all tokens" as -1 or 0.
    ...(top_k && top_k > 0 ? { topK: top_k } : {}),
    minP: request.min_p ?? 0,
    repetitionPenalty: request.repetition_penalty ?? 1,
    presencePenalty: request.presence_penalty ?? 0,
    frequencyPenalty: request.frequency_penalty ?? 0,
    ...(seed === null || seed === undefined ? {} : { seed: seedOf(seed, alternative) }),
    logitBias: Object.entries(request.logit_bias ?? {}).map(([token, bias]) => ({
      token: Number(token),
      bias,
    })),
  };
}

const SMALLEST_TOP_P = 1e-9;

/** The seed of an alternative, within 64 bits; as text where a double would not hold it. */
export function seedOf(seed: number | bigint | string, alternative: number): number | string {
  const sum = BigInt.asIntN(64, BigInt(seed) + BigInt(alternative));
  return Number.isSafeInteger(Number(sum)) ? Number(sum) : String(sum);
}

type DefaultableFields = Pick<
  SamplingFields,
  'temperature' | 'top_p' | 'top_k' | 'min_p' | 'repetition_penalty'
>;

/** The fields that the request leaves to the adapter's own defaults; `maxTokens` counts as given when it is a number. */
export function defaultedOf(
  request: DefaultableFields,
  maxTokens: number | null | undefined,
): NonNullable<SequenceRequest['defaulted']> {
  const given = {
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    repetitionPenalty: request.repetition_penalty,
    maxTokens,
  };
  return DEFAULTED_FIELDS.filter((name) => given[name] === undefined || given[name] === null);
}

type EndingFields = Pick<
  CompletionRequest,
  | 'min_tokens'
  | 'ignore_eos'
  | 'stop'
  | 'stop_token_ids'
  | 'include_stop_str_in_output'
  | 'return_token_ids'
  | 'speculation'
>;

/** What both requests say of a generation's end, whether the prompt's ids are wanted, and how to guess ahead. */
export function endingOf(
  request: EndingFields,
): Pick<
  SequenceRequest,
  'minTokens' | 'ignoreEos' | 'stop' | 'stopTokenIds' | 'includeStop' | 'returnPromptTokens' | 'speculation'
> {
  const { stop, speculation } = request;
  return {
    minTokens: request.min_tokens ?? 0,
    ignoreEos: request.ignore_eos ?? false,
    stop: (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== ''),
    stopTokenIds: request.stop_token_ids ?? [],
    includeStop: request.include_stop_str_in_output ?? false,
    returnPromptTokens: request.return_token_ids ?? false,
    ...(speculation ? { speculation: speculationOf(speculation) } : {}),
  };
}

function speculationOf({
  ngram,
}: NonNullable<EndingFields['speculation']>): NonNullable<SequenceRequest['speculation']> {
  return ngram ? { ngram: { maxDraft: ngram.max_draft, minMatch: ngram.min_match } } : {};
}
