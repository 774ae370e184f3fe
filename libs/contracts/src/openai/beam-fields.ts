import { z } from 'zod';
import { type StructureFields, wishedStructure } from '../structure-wish.js';

/*
 * Beam search as vLLM's users ask for it: `n` (or `best_of`) beams, of which the `n` best answers are given. What would
 * change which tokens are likely, or make chance choose, has no place in it.
 */

/** Alternatives to a token that an engine tells apart, some of which may end an answer. */
const MOST_BEAMS = 16;
const MOST_LENGTH_PENALTY = 10;

export const beamFields = {
  use_beam_search: z
    .boolean()
    .nullish()
    .describe('The most likely answers as a whole, of `n` or `best_of` beams'),
  length_penalty: z
    .number()
    .min(-MOST_LENGTH_PENALTY)
    .max(MOST_LENGTH_PENALTY)
    .nullish()
    .describe('Of beams: the power of the length by which a log-probability is divided; 1 when absent'),
  early_stopping: z
    .union([z.boolean(), z.literal('never')], { error: 'expected true, false or "never"' })
    .nullish()
    .describe('Of beams: when to stop, as in Transformers; false when absent'),
};

/** Of the fields that are neutral at a value: which it is. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  temperature: [0, 1],
  top_p: [1],
  top_k: [0, -1],
  min_p: [0],
  repetition_penalty: [1],
  presence_penalty: [0],
  frequency_penalty: [0],
};

/** What beams cannot keep, beside structures. */
const EXCLUDED = ['stop', 'logit_bias', 'allowed_token_ids', 'bad_words', 'logprob_token_ids'] as const;

interface BeamRules extends StructureFields {
  readonly use_beam_search?: boolean | null | undefined;
  readonly n?: number | null | undefined;
  readonly best_of?: number | null | undefined;
  readonly stream?: boolean | null | undefined;
}

type Report = (field: string, message: string) => void;

/** Rules of beam search, over the fields of either request. */
export function checkBeams(request: BeamRules, report: Report): void {
  const fields = request as Readonly<Record<string, unknown>>;
  if (!request.use_beam_search) {
    if ((fields['length_penalty'] ?? 1) !== 1) report('length_penalty', 'only with use_beam_search: true');
    if ((fields['early_stopping'] ?? false) !== false)
      report('early_stopping', 'only with use_beam_search: true');
    return;
  }
  const { n, best_of } = request;
  if ((best_of ?? n ?? 1) > MOST_BEAMS)
    report(best_of ? 'best_of' : 'n', `expected at most ${MOST_BEAMS} beams with use_beam_search: true`);
  if (request.stream)
    report('stream', 'not with use_beam_search: true: the answers are known only at the end');
  for (const [name, values] of Object.entries(NEUTRAL))
    if ((fields[name] ?? undefined) !== undefined && !values.includes(fields[name]))
      report(
        name,
        `not with use_beam_search: true, which compares what the model holds likely (only ${values.join(' or ')})`,
      );
  for (const name of EXCLUDED) if (isSaid(fields[name])) report(name, 'not with use_beam_search: true');
  const structure = wishedStructure(request);
  if (structure) report(structure.field, 'not with use_beam_search: true');
}

function isSaid(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return false;
  if (Array.isArray(value)) return value.some((item) => item !== '');
  return typeof value !== 'object' || Object.keys(value).length > 0;
}
