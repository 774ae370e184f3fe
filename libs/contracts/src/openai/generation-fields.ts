import { z } from 'zod';
import { SAMPLING_REQUEST_FIELDS } from '../sampling.js';
import { bounded, MOST, onlyKnown } from './bounded.js';

/*
 * Fields that /v1/completions and /v1/chat/completions have in common. OpenAI's clients send `null` for "not given",
 * so every optional field takes it. Schemas only check (no transforms): they also are the OpenAPI documentation.
 */

const integer = (min: number, max: number) => z.int().min(min).max(max).nullish();

/** A field that has a meaning we do not honour: `null` is fine, a value is refused with the reason. */
export const refused = (reason: string) => z.null({ error: reason }).optional();

/** A field whose default is what we do; any other value would be a promise that we do not keep. */
const onlyDefault = <const T extends string | number | boolean>(value: T) =>
  z.literal(value, { error: `only ${JSON.stringify(value)} is supported` }).nullish();

export const MAX_TOP_LOGPROBS = 20;
/** More choices than this in one request (prompts times n) are refused: they belong in several requests. */
export const MAX_CHOICES = 256;

/** Of what an adapter's deltas are multiplied by. */
export const MOST_LORA_SCALE = 10;

const MAX_TOKEN_ID = 2 ** 31 - 1;
const tokenId = z.int().min(0).max(MAX_TOKEN_ID);

function isTokenId(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKEN_ID;
}

/** Whether it is a list of token ids that is not empty. */
export function isTokenIds(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isTokenId);
}

export const TOKENS_EXPECTED = `expected token ids: whole numbers from 0 to ${MAX_TOKEN_ID}`;

/** Checked as a whole: zod would look at each of a hundred thousand by itself. */
export const tokenIds = (most: number) =>
  bounded(
    most,
    z
      .any()
      .refine(isTokenIds, { error: `${TOKENS_EXPECTED}, one at least` })
      .meta({
        type: 'array',
        items: { type: 'integer' },
        minItems: 1,
        maxItems: most,
      }) as unknown as z.ZodType<number[], number[]>,
  );
/** An empty one stops nothing, as with OpenAI. */
const stopString = z.string().max(MOST.stopCharacters);
const MIN_SEED = -(2n ** 63n);
const MAX_SEED = 2n ** 63n - 1n;

/** 64 bits; beyond 2^53 the body's parser gives a bigint, as a double would lose the last digits. */
const seed = z
  .any()
  .refine(isSeed, { error: 'expected a whole number of 64 bits' })
  .meta({ type: 'integer', minimum: -(2 ** 63), maximum: 2 ** 63 }) as unknown as z.ZodType<
  number | bigint,
  number | bigint
>;

function isSeed(value: unknown): boolean {
  if (typeof value === 'bigint') return value >= MIN_SEED && value <= MAX_SEED;
  return Number.isSafeInteger(value);
}

export const samplingFields = {
  ...SAMPLING_REQUEST_FIELDS,
  logit_bias: bounded(
    MOST.biases,
    z.record(z.string().regex(/^(0|[1-9]\d{0,8})$/), z.number().min(-100).max(100), {
      error: ({ code }) => (code === 'invalid_key' ? 'expected token ids as keys' : undefined),
    }),
  ).nullish(),
  seed: seed.nullish().describe('Choice i of a prompt uses seed + i'),
  allowed_token_ids: tokenIds(MOST.allowedTokens).nullish().describe('Nothing else is drawn'),
  bad_words: bounded(MOST.badWords, z.array(z.string().min(1).max(MOST.badWordCharacters)).max(MOST.badWords))
    .nullish()
    .describe('Texts whose tokens, alone or after a space, are never drawn in a row'),
};

export const promptFields = {
  truncate_prompt_tokens: z
    .int()
    .min(-1)
    .refine((count) => count !== 0, 'expected -1 or at least 1')
    .nullish()
    .describe("Keep so many of the prompt's last tokens; -1: as many as leave room for the completion"),
  prompt_logprobs: integer(0, MAX_TOP_LOGPROBS).describe(
    "Alternatives listed with each of the prompt's tokens; not with stream",
  ),
  logprob_token_ids: tokenIds(MAX_TOP_LOGPROBS)
    .nullish()
    .describe('With log-probabilities: those of these tokens at each position, in place of the most likely'),
  cache_salt: z
    .string()
    .min(1)
    .max(512)
    .nullish()
    .describe('Cached prefixes are shared only with requests that have the same'),
  priority: z
    .int()
    .min(-(2 ** 31))
    .max(2 ** 31 - 1)
    .nullish()
    .describe("Among the tenant's own waiting requests the lower comes first; 0 when absent"),
  service_tier: z
    .enum(['auto', 'default', 'flex', 'scale', 'priority'])
    .nullish()
    .describe('`priority` comes before, `flex` after the other waiting requests of the tenant'),
};

export const lengthFields = {
  max_tokens: integer(0, 2 ** 31 - 1),
  min_tokens: integer(0, 2 ** 31 - 1),
  ignore_eos: z.boolean().nullish(),
  stop: z
    .union([stopString, bounded(MOST.stops, z.array(stopString).max(MOST.stops))], {
      error: `expected a string of at most ${MOST.stopCharacters} characters, or an array of at most ${MOST.stops} of them`,
    })
    .nullish(),
  stop_token_ids: bounded(MOST.stopTokens, z.array(tokenId).max(MOST.stopTokens)).nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
};

export const answerFields = {
  model: z
    .string()
    .min(1)
    .max(512)
    .describe(
      'The base model, or `adapter`, `adapter@3`, `adapter:alias`, `tenant/adapter`; or several: `a+b`, `a*0.7+b*0.3`',
    ),
  user: z.string().max(512).nullish().describe('Keeps one end user on one version of a weighted alias'),
  lora_scale: z
    .number()
    .min(-MOST_LORA_SCALE)
    .max(MOST_LORA_SCALE)
    .nullish()
    .describe("Multiplies the adapter's low-rank deltas: 1 (when absent) as trained, 0 the base model"),
  n: integer(1, 128),
  stream: z.boolean().nullish(),
  stream_options: onlyKnown({
    include_usage: z.boolean().nullish(),
    continuous_usage_stats: z
      .boolean()
      .nullish()
      .describe('With include_usage: each chunk has the usage so far'),
    include_obfuscation: z.boolean().nullish().describe('Ignored'),
  }).nullish(),
  speculation: onlyKnown({
    ngram: onlyKnown({ max_draft: z.int().min(1).max(32), min_match: z.int().min(1).max(16) }).nullish(),
    draft: onlyKnown({ max_draft: z.int().min(1).max(16) }).nullish(),
  })
    .nullish()
    .describe('Guess tokens ahead; the answer stays the same. `{}`: do not; absent: as the engine is set'),
  return_token_ids: z.boolean().nullish().describe('Adds `token_ids` and `prompt_token_ids`'),
  return_tokens_as_token_ids: z
    .boolean()
    .nullish()
    .describe('Log-probabilities name tokens by their ids: `token_id:42`'),
  skip_special_tokens: z.boolean().nullish().describe('false: special tokens are part of the text'),
};

/** A field of `samplingFields` and `lengthFields` as a form needs to know it. */
export interface SamplingControl {
  readonly name: string;
  /** `json`: whatever has no simpler form. */
  readonly kind: 'number' | 'integer' | 'boolean' | 'text' | 'texts' | 'integers' | 'biases' | 'json';
  readonly min?: number;
  readonly max?: number;
  readonly description?: string;
}

/** All of them, in the order of the contract. */
export function samplingControls(): SamplingControl[] {
  const { properties = {} } = z.toJSONSchema(z.object({ ...samplingFields, ...lengthFields }), {
    io: 'output',
    unrepresentable: 'any',
  });
  return Object.entries(properties).map(([name, property]) => controlOf(name, property as JsonSchema));
}

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly description?: string;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema;
}

function controlOf(name: string, schema: JsonSchema): SamplingControl {
  const forms = formsOf(schema);
  const kind = kindOf(forms);
  const { minimum, exclusiveMinimum, maximum } = forms[0] ?? {};
  const min = minimum ?? exclusiveMinimum;
  const bounded = kind === 'number' || kind === 'integer';
  return {
    name,
    kind,
    // Beyond what a double holds there is nothing to check in a form.
    ...(bounded && Number.isSafeInteger(Math.ceil(min ?? Number.NaN)) ? { min } : {}),
    ...(bounded && Number.isSafeInteger(Math.floor(maximum ?? Number.NaN)) ? { max: maximum } : {}),
    ...(schema.description === undefined ? {} : { description: schema.description }),
  };
}

/** What a value may be, beside null. */
function formsOf(schema: JsonSchema): JsonSchema[] {
  if (schema.anyOf) return schema.anyOf.flatMap(formsOf);
  const types = [schema.type ?? []].flat().filter((type) => type !== 'null');
  return types.map((type) => ({ ...schema, type }));
}

function kindOf(forms: readonly JsonSchema[]): SamplingControl['kind'] {
  const types = new Set(forms.map(({ type }) => type));
  const [only] = forms;
  const ofArray = forms.find(({ type }) => type === 'array')?.items;
  if (ofArray?.type === 'string' && types.size === (types.has('string') ? 2 : 1)) return 'texts';
  if (types.size > 1 || !only) return 'json';
  if (only.type === 'number' || only.type === 'integer' || only.type === 'boolean') return only.type;
  if (only.type === 'string') return 'text';
  if (ofArray?.type === 'integer') return 'integers';
  return only.additionalProperties?.type === 'number' ? 'biases' : 'json';
}

const ignored = () => z.unknown().optional().meta({ description: 'Accepted and ignored' });

/** Sent by clients as a matter of course, without effect on the answer's content. */
export const ignoredFields = {
  metadata: ignored(),
  store: ignored(),
  prompt_cache_key: ignored(),
  prompt_cache_retention: ignored(),
  safety_identifier: ignored(),
};

/** vLLM's fields that load testers send with their default value. */
export const defaultOnlyFields = {
  spaces_between_special_tokens: onlyDefault(true),
};

interface CommonRules {
  readonly max_tokens?: number | null | undefined;
  readonly min_tokens?: number | null | undefined;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: object | null | undefined;
  readonly prompt_logprobs?: number | null | undefined;
  readonly logprobs?: boolean | number | null | undefined;
  readonly logprob_token_ids?: readonly number[] | null | undefined;
}

type Report = (field: string, message: string) => void;

/** Rules over several fields that both requests have. */
export function checkCommonRules(request: CommonRules, report: Report): void {
  const { max_tokens, min_tokens } = request;
  if (typeof max_tokens === 'number' && typeof min_tokens === 'number' && min_tokens > max_tokens)
    report('min_tokens', `expected at most max_tokens (${max_tokens})`);
  if (request.stream_options && !request.stream) report('stream_options', 'only allowed with stream: true');
  if (typeof request.prompt_logprobs === 'number' && request.stream)
    report('prompt_logprobs', 'not with stream: true');
  if (request.logprob_token_ids && (request.logprobs ?? false) === false)
    report('logprob_token_ids', 'only allowed with logprobs');
}
