import { MAX_TOP_LOGPROBS, type StepPlan } from './native.js';
import { SAMPLE_FLOATS, SAMPLE_INTS } from './sample-columns.js';

export interface StepPlanCapacity {
  readonly rows: number;
  readonly sequences: number;
  /** Pages of the longest sequence: ceil(maximum context / page tokens). */
  readonly pagesPerSequence: number;
  /** Sampled rows. */
  readonly samples: number;
  /** Distinct tokens of all sampled rows' histories together (penalties). */
  readonly history: number;
  /** Logit-bias entries of all sampled rows together. */
  readonly bias: number;
}

/** A plan whose arrays hold the capacity, all counts 0. Made once and refilled for each step. */
export function makeStepPlan(capacity: StepPlanCapacity): StepPlan {
  const { rows, sequences, pagesPerSequence, samples, history, bias } = capacity;
  return {
    rows: 0,
    sequences: 0,
    segments: 0,
    samples: 0,
    pageTableStride: pagesPerSequence,
    token: new Int32Array(rows),
    position: new Int32Array(rows),
    kvSlot: new Int32Array(rows),
    qStart: new Int32Array(sequences + 1),
    kvLength: new Int32Array(sequences),
    pageTable: new Int32Array(sequences * pagesPerSequence),
    segment: new Int32Array(sequences * 3), // rows of one sequence have one adapter at most, behind the base's
    segmentScale: new Float32Array(sequences).fill(1), // stays so where nothing is scaled
    sampleRow: new Int32Array(samples),
    sampleInt: new Int32Array(samples * SAMPLE_INTS),
    sampleFloat: new Float32Array(samples * SAMPLE_FLOATS),
    sampleSeed: new BigUint64Array(samples * 2),
    historyStart: new Int32Array(samples + 1),
    historyToken: new Int32Array(history),
    historyCount: new Int32Array(history),
    biasStart: new Int32Array(samples + 1),
    biasToken: new Int32Array(bias),
    biasValue: new Float32Array(bias),
    listedStart: new Int32Array(samples + 1),
    listedToken: new Int32Array(samples * MAX_TOP_LOGPROBS),
    masks: undefined,
    maskSlot: new Int32Array(samples).fill(-1),
    maskNumber: new Int32Array(samples),
    copies: 0,
    copyFrom: new Int32Array(sequences), // a sequence is copied one page at most, when it enters
    copyTo: new Int32Array(sequences),
    outToken: new Int32Array(samples),
    outFinite: new Uint8Array(samples),
    outDrawn: new Uint8Array(samples).fill(1), // stays so where nothing can be skipped
    outLogprob: new Float32Array(samples),
    outTopCount: new Int32Array(samples),
    outTopToken: new Int32Array(samples * MAX_TOP_LOGPROBS),
    outTopLogprob: new Float32Array(samples * MAX_TOP_LOGPROBS),
    outHidden: new Float32Array(0), // few steps want any
  };
}
