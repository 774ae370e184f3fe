import { z } from 'zod';
import type { GenerationDefaults } from '#contracts/adapter-manifest.js';
import type { AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import {
  DEFAULTABLE_NUMBERS,
  type DefaultableNumber,
  type RequestName,
  SAMPLING_FIELDS,
  wireOf,
} from '#contracts/sampling.js';
import { parseStrictJson, StrictJsonError } from '#safetensors/strict-json.js';

/*
 * generation_config.json as vLLM reads it with --generation-config auto: defaults for what a request leaves open, and the
 * tokens that end an answer. Transformers samples only where do_sample is true, and is greedy where it is false.
 */

export interface GenerationReading {
  /** Undefined when it says nothing that matters. */
  readonly generation: GenerationDefaults | undefined;
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

const tokenId = z.int().nonnegative();
/** The numbers that an adapter may say, under the names that callers use too. */
const NUMBERS = {
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).max(1_000_000).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(10).nullish(),
} satisfies Readonly<Record<RequestName<DefaultableNumber>, z.ZodType<number | null | undefined>>>;
const FIELDS = z.looseObject({
  eos_token_id: z.union([tokenId, z.array(tokenId).max(64)]).nullish(),
  do_sample: z.boolean().nullish(),
  ...NUMBERS,
  max_new_tokens: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .nullish(),
});

/** Ways of decoding that are not built, with the value by which a file says that it does not want them. */
const OTHER_WAYS: Readonly<Record<string, unknown>> = {
  num_beams: 1,
  num_beam_groups: 1,
  diversity_penalty: 0,
  penalty_alpha: 0,
  no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  top_h: 1,
  bad_words_ids: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  force_words_ids: null,
  sequence_bias: null,
  exponential_decay_length_penalty: null,
  guidance_scale: 1,
  min_new_tokens: 0,
  min_length: 0,
  stop_strings: null,
};

export function readGenerationConfig(text: string, vocabSize: number): GenerationReading {
  const nothing = { generation: undefined, warnings: [] };
  const object = parse(text);
  if (typeof object === 'string') return { ...nothing, errors: [problem(object)] };
  const parsed = FIELDS.safeParse(object);
  if (!parsed.success) {
    return {
      ...nothing,
      errors: parsed.error.issues.map(({ path, message }) => problem(`${path.join('.')}: ${message}`)),
    };
  }
  const eos = [parsed.data.eos_token_id ?? []].flat();
  const outside = eos.find((id) => id >= vocabSize);
  if (outside !== undefined) {
    return {
      ...nothing,
      errors: [problem(`eos_token_id: ${outside} is beyond the vocabulary of ${vocabSize}`)],
    };
  }
  const generation = defaultsOf(
    parsed.data,
    [...new Set(eos)].sort((a, b) => a - b),
  );
  return {
    generation: Object.keys(generation).length === 0 ? undefined : generation,
    errors: [],
    warnings: unsupported(object),
  };
}

function defaultsOf(fields: z.infer<typeof FIELDS>, eosTokenIds: readonly number[]): GenerationDefaults {
  const { do_sample, max_new_tokens } = fields;
  const numbers = DEFAULTABLE_NUMBERS.flatMap((name) => {
    const { neutral, penalty } = SAMPLING_FIELDS[name];
    if (do_sample === false && !penalty) return name === 'temperature' ? [[name, 0] as const] : [];
    const value = wireOf(fields, name);
    // A temperature of 0 says something: be greedy.
    return value === undefined || (value === neutral && name !== 'temperature')
      ? []
      : [[name, value] as const];
  });
  return {
    ...(eosTokenIds.length > 0 && { eosTokenIds: [...eosTokenIds] }),
    ...Object.fromEntries(numbers),
    ...(typeof max_new_tokens === 'number' && { maxTokens: max_new_tokens }),
  };
}

function unsupported(object: Readonly<Record<string, unknown>>): AdapterWarning[] {
  const set = Object.keys(OTHER_WAYS).filter((name) => {
    const value = object[name];
    const empty = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
    return !empty && value !== OTHER_WAYS[name];
  });
  if (set.length === 0) return [];
  const message = `generation_config.json: ${set.join(', ')} ${set.length === 1 ? 'has' : 'have'} no effect here.`;
  return [{ code: 'generation_field_ignored', message }];
}

/** The object, or what is wrong. */
function parse(text: string): Record<string, unknown> | string {
  try {
    const value = parseStrictJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
    return 'not a JSON object';
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error;
    return error.message;
  }
}

function problem(message: string): AdapterProblem {
  return { code: 'generation_config_invalid', message: `generation_config.json: ${message}.` };
}
