import { z } from 'zod';
import { checkStructure, structureFields } from '../structure-wish.js';
import { beamFields, checkBeams } from './beam-fields.js';
import { onlyKnown } from './bounded.js';
import {
  answerFields,
  checkCommonRules,
  defaultOnlyFields,
  ignoredFields,
  isTokenIds,
  lengthFields,
  MAX_CHOICES,
  MAX_TOP_LOGPROBS,
  promptFields,
  samplingFields,
  TOKENS_EXPECTED,
} from './generation-fields.js';
import { checkModels, modelFields, type OfOneModel } from './many-models.js';

export type Prompt = string | string[] | number[] | number[][];

const PROMPT_EXPECTED =
  'expected a string, an array of strings, an array of token ids, or an array of such arrays';
function isPrompt(value: unknown): value is Prompt {
  return promptFault(value, MAX_CHOICES) === undefined;
}

/** What is wrong with a prompt; undefined: nothing. */
function promptFault(value: unknown, most: number, what = 'prompts'): string | undefined {
  if (typeof value === 'string') return undefined;
  if (!Array.isArray(value)) return PROMPT_EXPECTED;
  if (value.length === 0) return `${PROMPT_EXPECTED}, got an empty array`;
  if (typeof value[0] === 'number') return isTokenIds(value) ? undefined : TOKENS_EXPECTED;
  if (value.length > most) return `expected at most ${most} ${what}, got ${value.length}`;
  if (value.every((item) => typeof item === 'string')) return undefined;
  const [first] = value;
  if (!Array.isArray(first)) return PROMPT_EXPECTED;
  const bad = value.findIndex((item) => !isTokenIds(item));
  if (bad < 0) return undefined;
  const [empty] = [value[bad] as unknown].filter((item) => Array.isArray(item) && item.length === 0);
  return empty ? `its array ${bad} is empty: a prompt of token ids has one at least` : TOKENS_EXPECTED;
}

const tokenIdsDocumentation = { type: 'array' as const, items: { type: 'integer' as const }, minItems: 1 };

/** Texts, or lists of token ids, `most` of them at most. */
export function inputField(most: number, what?: string): z.ZodType<Prompt, Prompt> {
  // No z.union: it would collect one fault per token of a long prompt for each form that does not fit.
  return z
    .any()
    .superRefine((value, context) => {
      const fault = promptFault(value, most, what);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
    })
    .meta({
      anyOf: [
        { type: 'string' },
        { type: 'array', items: { type: 'string' }, minItems: 1 },
        tokenIdsDocumentation,
        { type: 'array', items: tokenIdsDocumentation, minItems: 1 },
      ],
    }) as unknown as z.ZodType<Prompt, Prompt>;
}

/** The prompts that a `prompt` field holds: one text or one list of token ids for each. */
export function promptsOf(prompt: Prompt): (string | number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as string[] | number[][]);
}

/** POST /v1/completions. An unknown field is refused: ignoring it could answer another question than was asked. */
export const CompletionRequestSchema = onlyKnown({
  ...answerFields,
  ...modelFields,
  prompt: inputField(MAX_CHOICES),
  ...samplingFields,
  ...promptFields,
  ...lengthFields,
  best_of: z.int().min(1).max(128).nullish(),
  echo: z.boolean().nullish(),
  logprobs: z
    .int()
    .min(0)
    .max(MAX_TOP_LOGPROBS)
    .nullish()
    .describe('Number of alternatives listed with each token'),
  suffix: z
    .string()
    .nullish()
    .describe(
      'What comes after the completion, which fills in what is missing between; for models that know how',
    ),
  ...structureFields,
  add_special_tokens: z
    .boolean()
    .nullish()
    .describe('false: a text prompt gets no token that the tokenizer would put around it (BOS)'),
  ...ignoredFields,
  ...beamFields,
  ...defaultOnlyFields,
}).superRefine((request, context) => {
  const report = (field: string, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message });
  checkCommonRules(request, report);
  checkStructure(request, report);
  checkBeams(request, report);
  checkSuffix(request, report);
  if (request.logprob_token_ids && request.echo)
    report('logprob_token_ids', 'not with echo: true: the tokens of a prompt have no such list');
  const { n, best_of, stream } = request;
  const candidates = best_of ?? n ?? 1;
  if (best_of && best_of < (n ?? 1)) report('best_of', `expected at least n (${n})`);
  if (best_of && best_of > (n ?? 1) && stream)
    report('best_of', 'cannot be larger than n with stream: true: the best is known only at the end');
  const generations = isPrompt(request.prompt) ? promptsOf(request.prompt).length * candidates : 1;
  checkModels(request, Math.min(generations, MAX_CHOICES), report);
  if (generations > MAX_CHOICES)
    report(
      'prompt',
      `expected at most ${MAX_CHOICES} generations in one request (prompts times n or best_of)`,
    );
});

interface SuffixRules {
  readonly prompt: Prompt;
  readonly suffix?: string | null | undefined;
  readonly echo?: boolean | null | undefined;
  readonly truncate_prompt_tokens?: number | null | undefined;
}

function checkSuffix(
  { prompt, suffix, echo, truncate_prompt_tokens }: SuffixRules,
  report: (field: string, message: string) => void,
): void {
  if (!suffix) return;
  if (isPrompt(prompt) && promptsOf(prompt).some((each) => typeof each !== 'string'))
    report('suffix', 'goes only with a prompt that is text');
  if (echo) report('suffix', 'not with echo: true');
  if (typeof truncate_prompt_tokens === 'number') report('suffix', 'not with truncate_prompt_tokens');
}

export type CompletionBody = z.infer<typeof CompletionRequestSchema>;
export type CompletionRequest = OfOneModel<CompletionBody>;
