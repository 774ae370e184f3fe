import { DEFAULTED_FIELDS } from '#contracts/engine-protocol.js';
import type { CompletionRequest } from '#contracts/openai/completion-request.js';
import {
  givenOf,
  NEUTRAL_SAMPLING,
  type Sampling,
  samplingNumbers,
  type SamplingRequest,
} from '#contracts/sampling.js';
import { type StructureFields, wishedStructure } from '#contracts/structure-wish.js';
import type { SequenceRequest } from './generation-plan.js';

type SamplingFields = SamplingRequest & Pick<CompletionRequest, 'logit_bias' | 'seed'>;

/** The sampling of a prompt's `alternative`-th choice. */
export function samplingOf(request: SamplingFields, alternative: number): Sampling {
  const { seed } = request;
  return {
    ...samplingNumbers(request),
    ...(seed === null || seed === undefined ? {} : { seed: seedOf(seed, alternative) }),
    logitBias: Object.entries(request.logit_bias ?? {}).map(([token, bias]) => ({
      token: Number(token),
      bias,
    })),
  };
}

/** The seed of an alternative, within 64 bits; as text where a double would not hold it. */
export function seedOf(seed: number | bigint | string, alternative: number): number | string {
  const sum = BigInt.asIntN(64, BigInt(seed) + BigInt(alternative));
  return Number.isSafeInteger(Number(sum)) ? Number(sum) : String(sum);
}

/** The fields that the request leaves to the adapter's own defaults; `maxTokens` counts as given when it is a number. */
export function defaultedOf(
  request: SamplingRequest,
  maxTokens: number | null | undefined,
): NonNullable<SequenceRequest['defaulted']> {
  return DEFAULTED_FIELDS.filter((name) =>
    name === 'maxTokens' ? typeof maxTokens !== 'number' : givenOf(request, name) === undefined,
  );
}

type BeamFields = Pick<CompletionRequest, 'use_beam_search' | 'length_penalty' | 'early_stopping'>;

/** A beam search takes the model's log-probabilities as they are, whatever an adapter's own defaults are. */
export function beamOf(
  { use_beam_search, length_penalty, early_stopping }: BeamFields,
  defaulted: NonNullable<SequenceRequest['defaulted']>,
): Partial<Pick<SequenceRequest, 'beam' | 'sampling' | 'defaulted'>> {
  if (!use_beam_search) return {};
  return {
    beam: { lengthPenalty: length_penalty ?? 1, earlyStopping: early_stopping ?? false },
    sampling: NEUTRAL_SAMPLING,
    defaulted: defaulted.filter((name) => name === 'maxTokens'),
  };
}

type EndingFields = Pick<
  CompletionRequest,
  | 'min_tokens'
  | 'ignore_eos'
  | 'stop'
  | 'stop_token_ids'
  | 'include_stop_str_in_output'
  | 'skip_special_tokens'
  | 'allowed_token_ids'
  | 'bad_words'
>;

/** What both requests say of which tokens are drawn, what of them is text, and where a generation ends. */
export function endingOf(
  request: EndingFields,
): Pick<
  SequenceRequest,
  | 'minTokens'
  | 'ignoreEos'
  | 'stop'
  | 'stopTokenIds'
  | 'includeStop'
  | 'shownSpecialTokens'
  | 'allowedTokenIds'
  | 'badWords'
> {
  const { stop, skip_special_tokens, allowed_token_ids, bad_words } = request;
  return {
    minTokens: request.min_tokens ?? 0,
    ignoreEos: request.ignore_eos ?? false,
    stop: (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== ''),
    stopTokenIds: request.stop_token_ids ?? [],
    includeStop: request.include_stop_str_in_output ?? false,
    ...(skip_special_tokens === false ? { shownSpecialTokens: 'all' as const } : {}),
    ...(allowed_token_ids ? { allowedTokenIds: allowed_token_ids } : {}),
    ...(bad_words && bad_words.length > 0 ? { badWords: bad_words } : {}),
  };
}

type PromptFields = Pick<
  CompletionRequest,
  'truncate_prompt_tokens' | 'priority' | 'service_tier' | 'return_token_ids' | 'speculation'
>;

/** What both requests say of how the prompt is taken, when its turn is, and how to guess ahead. */
export function promptingOf(
  request: PromptFields,
): Pick<SequenceRequest, 'keepPromptTokens' | 'priority' | 'returnPromptTokens' | 'speculation'> {
  const { truncate_prompt_tokens: kept, speculation, service_tier } = request;
  const priority = request.priority ?? (service_tier ? TIER_PRIORITIES[service_tier] : 0);
  return {
    ...(typeof kept === 'number' ? { keepPromptTokens: kept === -1 ? 'room' : kept } : {}),
    ...(priority === 0 ? {} : { priority }),
    returnPromptTokens: request.return_token_ids ?? false,
    ...(speculation ? { speculation: speculationOf(speculation) } : {}),
  };
}

const TIER_PRIORITIES: Readonly<Record<NonNullable<PromptFields['service_tier']>, number>> = {
  auto: 0,
  default: 0,
  scale: 0,
  flex: 1_000,
  priority: -1_000,
};

function speculationOf({
  ngram,
  draft,
}: NonNullable<PromptFields['speculation']>): NonNullable<SequenceRequest['speculation']> {
  return {
    ...(ngram ? { ngram: { maxDraft: ngram.max_draft, minMatch: ngram.min_match } } : {}),
    ...(draft ? { draft: { maxDraft: draft.max_draft } } : {}),
  };
}

/** Of which tokens log-probabilities are wanted, where not of the most likely. */
export function listedOf({
  logprob_token_ids: listed,
}: Pick<CompletionRequest, 'logprob_token_ids'>): Pick<SequenceRequest, 'logprobTokenIds'> {
  return listed ? { logprobTokenIds: listed } : {};
}

/** What structure the answer is to have. */
export function structureOf(request: StructureFields): Pick<SequenceRequest, 'structure'> {
  const structure = wishedStructure(request);
  return structure ? { structure } : {};
}
