import type { MaskMemory, StepPlan } from '#native-engine/native.js';
import {
  NEUTRAL_COLUMNS,
  SAMPLE_FLOATS,
  SAMPLE_INT,
  SAMPLE_INTS,
  SAMPLE_MODE,
  type SampleColumns,
} from '#native-engine/sample-columns.js';
import { makeStepPlan, type StepPlanCapacity } from '#native-engine/step-plan.js';
import type { MaskPlace } from '#grammar/thread/protocol.js';
import type { PendingCopy } from '../kv/prefix-entry.js';
import type { Sequence } from './sequence.js';
import type { StopRule } from './stop-rule.js';
import type { TokenBans } from './token-bans.js';
import type { TokenHistory } from './token-history.js';

/** What a step has to know of a sequence. */
export interface PlannedSequence
  extends Pick<
    Sequence,
    | 'id'
    | 'handleBefore'
    | 'activeFrom'
    | 'adapterScale'
    | 'heldPages'
    | 'computedTokens'
    | 'totalTokens'
    | 'promptTokens'
    | 'scoredTokens'
    | 'promptLogprobs'
    | 'maxTokens'
    | 'generated'
    | 'generatedTokens'
    | 'columns'
    | 'seed'
    | 'logprobs'
    | 'listedTokens'
    | 'tokenAt'
  > {
  readonly pages: readonly number[];
  readonly history: Pick<TokenHistory, 'size' | 'copyTo'> | undefined;
  readonly pooled: { wants(position: number): boolean } | undefined;
  readonly options: {
    readonly bans: Pick<TokenBans, 'size' | 'copyTo'>;
    readonly stopRule: Pick<StopRule, 'bannedUntilMin' | 'belowMin'>;
    readonly mask?: { place(guesses: number): MaskPlace } | undefined;
  };
}

/** One sequence's part of a step. */
export interface StepEntry<S extends PlannedSequence = Sequence> {
  readonly sequence: S;
  readonly tokens: number;
  /** Its results are outToken[firstSample .. firstSample + samples). */
  readonly firstSample: number;
  readonly samples: number;
  /** Its hidden states are the rows of outHidden from here on, one for each of its samples when it is pooled. */
  readonly firstHidden: number;
  /** Whether results follow those that score the prompt: a new token, and one after each token of its draft. */
  readonly draws: boolean;
  /** Guesses whose keys and values were computed too. */
  readonly draft: readonly number[];
}

interface Grant<S> {
  readonly request: S;
  readonly tokens: number;
  /** Only where the grant reaches the last known token. */
  readonly draft?: readonly number[];
}

/** Writes the grants of a step into the typed arrays that native reads. The arrays are kept from step to step. */
export class PlanWriter<S extends PlannedSequence = Sequence> {
  #plan: StepPlan;
  #capacity: StepPlanCapacity;
  readonly #hiddenSize: number;
  /** Rows of outHidden that the plan wants. */
  #hiddenRows = 0;

  constructor(
    private readonly pageTokens: number,
    {
      hiddenSize,
      ...limits
    }: { readonly rows: number; readonly sequences: number; readonly hiddenSize: number },
    private readonly maskMemory: () => MaskMemory | undefined = () => undefined,
  ) {
    this.#capacity = { ...limits, samples: limits.rows, pagesPerSequence: 64, history: 4_096, bias: 4_096 };
    this.#plan = makeStepPlan(this.#capacity);
    this.#hiddenSize = hiddenSize;
  }

  get plan(): StepPlan {
    return this.#plan;
  }

  /** The sequences' pages must already cover the granted tokens. */
  write(grants: readonly Grant<S>[], copies: readonly PendingCopy[]): StepEntry<S>[] {
    const ordered = inSegmentOrder(grants);
    this.#reserve(ordered);
    const plan = this.#plan;
    plan.rows = 0;
    plan.sequences = 0;
    plan.segments = 0;
    plan.samples = 0;
    plan.masks = undefined;
    plan.qStart[0] = 0;
    plan.historyStart[0] = 0;
    plan.biasStart[0] = 0;
    plan.listedStart[0] = 0;
    plan.pageTableStride = ordered.reduce((most, { request }) => Math.max(most, request.heldPages), 1);
    this.#hiddenRows = 0;
    const entries: StepEntry<S>[] = [];
    for (const grant of ordered) entries.push(this.#writeSequence(grant));
    const hidden = this.#hiddenRows * this.#hiddenSize;
    if (hidden > plan.outHidden.length) plan.outHidden = new Float32Array(hidden);
    plan.copies = copies.length;
    plan.copyFrom.set(copies.map(({ from }) => from));
    plan.copyTo.set(copies.map(({ to }) => to));
    return entries;
  }

  #writeSequence({ request: sequence, tokens, draft = [] }: Grant<S>): StepEntry<S> {
    const plan = this.#plan;
    const firstSample = plan.samples;
    const firstHidden = this.#hiddenRows;
    const begin = sequence.computedTokens;
    const end = begin + tokens;
    this.#writeSegment(sequence, begin, end + draft.length);
    for (let position = begin; position < end; position++) {
      const row = this.#writeRow(sequence, position, sequence.tokenAt(position));
      if (sequence.pooled?.wants(position) === true) this.#writeHidden(row);
      else if (scores(sequence, position)) this.#writeScore(sequence, row, sequence.tokenAt(position + 1));
    }
    const draws = sequence.maxTokens > 0 && end === sequence.totalTokens;
    if (draws) this.#writeDraw(sequence, plan.rows - 1, []);
    for (const [i, token] of draft.entries()) {
      this.#writeDraw(sequence, this.#writeRow(sequence, end + i, token), draft.slice(0, i + 1));
    }
    plan.kvLength[plan.sequences] = end + draft.length;
    plan.pageTable.set(sequence.pages, plan.sequences * plan.pageTableStride);
    plan.sequences++;
    plan.qStart[plan.sequences] = plan.rows;
    return { sequence, tokens, firstSample, firstHidden, samples: plan.samples - firstSample, draws, draft };
  }

  #writeRow(sequence: S, position: number, token: number): number {
    const plan = this.#plan;
    const page = sequence.pages[Math.floor(position / this.pageTokens)] as number;
    plan.token[plan.rows] = token;
    plan.position[plan.rows] = position;
    plan.kvSlot[plan.rows] = page * this.pageTokens + (position % this.pageTokens);
    return plan.rows++;
  }

  /** Of the tokens [begin, end) those that the adapter computes; they go to the segment before where they follow it. */
  #writeSegment(sequence: S, begin: number, end: number): void {
    const handle = sequence.handleBefore(end);
    if (handle === 0) return;
    const plan = this.#plan;
    const scale = Math.fround(sequence.adapterScale);
    const before = Math.max(0, sequence.activeFrom - begin);
    const [row0, rows] = [plan.rows + before, end - begin - before];
    const last = plan.segments - 1;
    const [lastRow0, lastRows, lastHandle] = plan.segment.subarray(last * 3, last * 3 + 3);
    const follows = last >= 0 && (lastRow0 as number) + (lastRows as number) === row0;
    if (follows && lastHandle === handle && plan.segmentScale[last] === scale) {
      plan.segment[last * 3 + 1] = (lastRows as number) + rows;
      return;
    }
    plan.segment.set([row0, rows, handle], plan.segments * 3);
    plan.segmentScale[plan.segments] = scale;
    plan.segments++;
  }

  #writeScore(sequence: S, row: number, target: number): void {
    const plan = this.#plan;
    const sample = plan.samples;
    const ints = sample * SAMPLE_INTS;
    this.#beginSample(row, NEUTRAL_COLUMNS);
    plan.sampleInt[ints + MODE] = SAMPLE_MODE.score;
    plan.sampleInt[ints + TARGET] = target;
    plan.sampleInt[ints + TOP_LOGPROBS] = sequence.promptLogprobs ?? 0;
    plan.sampleSeed.fill(0n, sample * 2, sample * 2 + 2);
    this.#endSample(plan.historyStart[sample] as number, plan.biasStart[sample] as number);
  }

  #writeHidden(row: number): void {
    const plan = this.#plan;
    const sample = plan.samples;
    this.#beginSample(row, NEUTRAL_COLUMNS);
    plan.sampleInt[sample * SAMPLE_INTS + MODE] = SAMPLE_MODE.hidden;
    plan.sampleInt[sample * SAMPLE_INTS + TARGET] = 0;
    plan.sampleInt[sample * SAMPLE_INTS + TOP_LOGPROBS] = -1;
    plan.sampleSeed.fill(0n, sample * 2, sample * 2 + 2);
    this.#endSample(plan.historyStart[sample] as number, plan.biasStart[sample] as number);
    this.#hiddenRows++;
  }

  /** Draws the token that comes after the known and the `drafted` ones. */
  #writeDraw(sequence: S, row: number, drafted: readonly number[]): void {
    const plan = this.#plan;
    const sample = plan.samples;
    const ints = sample * SAMPLE_INTS;
    this.#beginSample(row, sequence.columns);
    plan.sampleInt[ints + MODE] = SAMPLE_MODE.sample;
    plan.sampleInt[ints + TARGET] = 0;
    plan.sampleInt[ints + TOP_LOGPROBS] = sequence.logprobs ?? -1;
    this.#writeListed(sequence, sample);
    plan.sampleSeed[sample * 2] = sequence.seed;
    plan.sampleSeed[sample * 2 + 1] = BigInt(sequence.generated + drafted.length);
    const history = plan.historyStart[sample] as number;
    this.#writeMask(sequence, sample, drafted.length);
    const historyEnd = sequence.history?.copyTo(plan, history, drafted) ?? history;
    this.#endSample(historyEnd, this.#writeBias(sequence, sample, drafted));
  }

  #writeListed({ listedTokens }: S, sample: number): void {
    const { listedStart, listedToken } = this.#plan;
    const start = listedStart[sample] as number;
    listedToken.set(listedTokens, start);
    listedStart[sample + 1] = start + listedTokens.length;
  }

  #writeMask({ options: { mask } }: S, sample: number, drafted: number): void {
    if (mask === undefined) return;
    const plan = this.#plan;
    plan.masks = this.maskMemory();
    const { slot, number } = mask.place(drafted);
    plan.maskSlot[sample] = slot;
    plan.maskNumber[sample] = number;
  }

  #writeBias(sequence: S, sample: number, drafted: readonly number[]): number {
    const plan = this.#plan;
    const { stopRule, bans } = sequence.options;
    const generated = sequence.generatedTokens;
    let at = bans.copyTo(plan, plan.biasStart[sample] as number, { generated, drafted });
    if (!stopRule.belowMin(drafted.length)) return at;
    for (const token of stopRule.bannedUntilMin) {
      plan.biasToken[at] = token;
      plan.biasValue[at++] = Number.NEGATIVE_INFINITY;
    }
    return at;
  }

  #beginSample(row: number, { ints, floats }: SampleColumns): void {
    const { sampleRow, sampleInt, sampleFloat, maskSlot, listedStart, samples: sample } = this.#plan;
    sampleRow[sample] = row;
    maskSlot[sample] = NO_MASK;
    listedStart[sample + 1] = listedStart[sample] as number;
    for (let i = 0; i < SAMPLE_INTS; i++) sampleInt[sample * SAMPLE_INTS + i] = ints[i] as number;
    for (let i = 0; i < SAMPLE_FLOATS; i++) sampleFloat[sample * SAMPLE_FLOATS + i] = floats[i] as number;
  }

  #endSample(historyEnd: number, biasEnd: number): void {
    const plan = this.#plan;
    plan.samples++;
    plan.historyStart[plan.samples] = historyEnd;
    plan.biasStart[plan.samples] = biasEnd;
  }

  /** Page tables, histories and biases have no small bound: their arrays grow when a step first needs more. */
  #reserve(grants: readonly Grant<S>[]): void {
    let stride = 1;
    let history = 0;
    let bias = 0;
    for (const { request, draft = [] } of grants) {
      stride = Math.max(stride, request.heldPages);
      if (request.history) history += (request.history.size + draft.length) * (1 + draft.length);
      const biasOfDraw = request.options.bans.size + request.options.stopRule.bannedUntilMin.length;
      bias += biasOfDraw * (1 + draft.length);
    }
    const pagesPerSequence = Math.ceil((stride * grants.length) / this.#capacity.sequences);
    const has = this.#capacity;
    if (pagesPerSequence <= has.pagesPerSequence && history <= has.history && bias <= has.bias) return;
    const grown = (now: number, need: number): number => (need <= now ? now : need * 2);
    this.#capacity = {
      ...has,
      pagesPerSequence: grown(has.pagesPerSequence, pagesPerSequence),
      history: grown(has.history, history),
      bias: grown(has.bias, bias),
    };
    this.#plan = makeStepPlan(this.#capacity);
  }
}

/**
 * By adapter, so that each one's rows are one segment. Those of an activated LoRA that begins within the step have rows of
 * the base before its own, so they come first: each begins a segment.
 */
function inSegmentOrder<S extends PlannedSequence>(grants: readonly Grant<S>[]): readonly Grant<S>[] {
  const keyed = grants.map((grant) => {
    const { request, tokens } = grant;
    const begin = request.computedTokens;
    return {
      grant,
      request,
      handle: request.handleBefore(begin + tokens),
      whole: Number(begin >= request.activeFrom),
    };
  });
  keyed.sort(
    (a, b) =>
      a.handle - b.handle ||
      a.request.adapterScale - b.request.adapterScale ||
      a.whole - b.whole ||
      a.request.id - b.request.id,
  );
  return keyed.map(({ grant }) => grant);
}

const NO_MASK = -1;
const { mode: MODE, target: TARGET, topLogprobs: TOP_LOGPROBS } = SAMPLE_INT;

/** Whether the row at `position` gives the log-probability of a prompt token that has none yet. */
function scores(sequence: PlannedSequence, position: number): boolean {
  return (
    sequence.promptLogprobs !== undefined &&
    position + 1 < sequence.promptTokens &&
    position + 1 >= sequence.scoredTokens
  );
}
