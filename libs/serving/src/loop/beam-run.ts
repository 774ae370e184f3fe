import type { GenerateEvent, GenerateRequest, ScoredToken } from '#contracts/engine-protocol.js';
import { MAX_TOP_LOGPROBS } from '#native-engine/native.js';
import { AppError } from '#runtime/app-error.js';
import { isHidden } from '../text/detokenizer.js';
import type { Tokenizer } from '../text/tokenizer.js';
import {
  BeamSearch,
  type BeamSearchOptions,
  candidatesOf,
  type FoundAnswer,
  tokensOf,
} from './beam-search.js';
import type { EventStream } from './event-stream.js';
import { type StopOptions, StopRule } from './stop-rule.js';

type Finish = Extract<GenerateEvent, { type: 'finish' }>;

/** One token after `generated`, drawn by itself: `choice` 0 also says what is said once of the prompt. */
export type AskNext = (generated: readonly number[], choice: number) => AsyncIterable<GenerateEvent>;

export interface BeamRunOptions {
  readonly request: GenerateRequest;
  readonly stops: StopOptions;
  readonly tokenizer: Tokenizer;
  readonly arrival_ms: number;
  readonly askNext: AskNext;
  /** Where the answers go, best first; the first also gets what is said once of the prompt. */
  readonly answers: readonly EventStream[];
}

/** What of a request decides how beams go on; refuses what no beam search can keep. */
export function beamOptions(request: GenerateRequest, stops: StopOptions): BeamSearchOptions {
  const { beam, n: width = 1, minTokens } = request;
  if (request.calls !== undefined)
    throw new AppError('invalid_request', {
      message: 'use_beam_search: beams are not held to calls of tools (tool_choice, strict).',
      param: 'use_beam_search',
    });
  if (beam === undefined) throw new Error('broken invariant: a search without a wish for one');
  const endings = new Set([...(stops.ignoreEos ? [] : stops.eosTokenIds), ...stops.stopTokenIds]);
  const options = { ...beam, width, minTokens, maxTokens: stops.maxTokens, endings };
  if (candidatesOf(options) <= MAX_TOP_LOGPROBS) return options;
  throw new AppError('invalid_request', {
    message: `n: ${width} beams and ${endings.size} tokens that end an answer are more than ${MAX_TOP_LOGPROBS} in all.`,
    param: 'n',
  });
}

/**
 * Beam search over requests of one token each: the prefix cache has all that a beam shares with the others, so each of them
 * computes the one row of its last token. Settles when every answer has ended, with an event that says how.
 */
export async function runBeams(options: BeamRunOptions): Promise<'finished' | 'failed'> {
  const { request, stops, askNext, answers } = options;
  const search = new BeamSearch(beamOptions(request, stops));
  const [leader] = answers;
  let first: Finish | undefined;
  while (!search.isOver) {
    const beams = search.beams.length === 0 ? [undefined] : search.beams;
    const steps = await Promise.all(
      beams.map(async (beam, i) => {
        const isFirst = beam === undefined;
        const generated = tokensOf(beam).map(({ id }) => id);
        const step = await nextOf(askNext(generated, isFirst ? 0 : i + 1), isFirst ? leader : undefined);
        return { beam, ...step };
      }),
    );
    const error = steps.find((step) => step.error)?.error;
    if (error) {
      for (const events of answers) events.push(error);
      return 'failed';
    }
    first ??= steps[0]?.finish;
    search.advance(steps);
  }
  for (const [i, events] of answers.entries()) writeAnswer(search.found[i], events, { ...options, first });
  return 'finished';
}

interface OneStep {
  readonly next: ScoredToken['top'];
  readonly finish: Finish | undefined;
  readonly error: Extract<GenerateEvent, { type: 'error' }> | undefined;
}

/** Reads one token's events to their end; `leader` gets what they say of the prompt. */
async function nextOf(
  events: AsyncIterable<GenerateEvent>,
  leader: EventStream | undefined,
): Promise<OneStep> {
  let next: ScoredToken['top'] = [];
  for await (const event of events) {
    if (event.type === 'start' || event.type === 'prompt') leader?.push(event);
    if (event.type === 'tokens') next = event.scored?.[0]?.top ?? [];
    if (event.type === 'error') return { next, error: event, finish: undefined };
    if (event.type === 'finish') return { next, error: undefined, finish: event };
  }
  throw new Error('broken invariant: a request without an end');
}

/** An answer's events; one that there is not, in a vocabulary too small for so many, is empty. */
function writeAnswer(
  answer: FoundAnswer | undefined,
  events: EventStream,
  {
    request: { logprobs },
    stops,
    tokenizer,
    arrival_ms,
    first,
  }: BeamRunOptions & { first: Finish | undefined },
): void {
  if (first === undefined) throw new Error('broken invariant: beams without a first step');
  const rule = new StopRule(tokenizer, stops);
  const tokens = tokensOf(answer?.beam);
  let ending: Pick<Finish, 'reason' | 'stopReason'> = { reason: 'length', stopReason: null };
  for (const token of tokens) {
    const { text, ending: ended } = rule.push(token.id);
    ending = ended ?? ending;
    const notInText = isHidden(tokenizer, rule.shown, token.id) ? { notInText: true as const } : {};
    const scored =
      logprobs === undefined
        ? {}
        : { scored: [{ ...token, top: token.top.slice(0, logprobs), ...notInText }] };
    events.push({ type: 'tokens', text, ids: [token.id], ...scored });
  }
  const { usage, timing } = first;
  events.push({
    type: 'finish',
    ...ending,
    text: '',
    usage: { ...usage, completionTokens: tokens.length },
    timing: { ...timing, total_ms: performance.now() - arrival_ms },
  });
}
