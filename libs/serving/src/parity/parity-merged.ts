import {
  type AdapterDtype,
  MAX_TOP_LOGPROBS,
  type DenseMergeSpec,
  type NativeModel,
  type OpenOptions,
  type StepPlan,
} from '#native-engine/native.js';
import {
  NEUTRAL_COLUMNS,
  SAMPLE_FLOATS,
  SAMPLE_INT,
  SAMPLE_INTS,
  SAMPLE_MODE,
} from '#native-engine/sample-columns.js';
import { makeStepPlan } from '#native-engine/step-plan.js';
import { pagesFor } from '../kv/kv-pages.js';
import type { ScoredTokens } from './parity-comparison.js';

export interface MergedInput {
  readonly openNative: (options: OpenOptions) => Promise<NativeModel>;
  readonly modelPath: string;
  readonly quantization: OpenOptions['quantization'];
  /** As the served path's, like the cache's. */
  readonly adapterDtype: AdapterDtype;
  /** As the served path's, so that rounding keys and values is no difference. */
  readonly kv: Pick<OpenOptions['kv'], 'dtype' | 'pageTokens'> & { readonly pageBytes: number };
  readonly merge: DenseMergeSpec;
  /** As the served path's. */
  readonly extraTokens: OpenOptions['extraTokens'] | undefined;
  readonly texts: readonly (readonly number[])[];
}

/**
 * Scores the texts by a model of its own: the reference backend in float32 with the adapter merged densely, one text at a
 * time in one piece. Runs on background threads; its memory, 4 bytes for each of the model's parameters, goes at the end.
 */
export async function scoreMerged(input: MergedInput, signal: AbortSignal): Promise<ScoredTokens[]> {
  const rows = Math.max(...input.texts.map(({ length }) => length));
  const { pageTokens, pageBytes, dtype } = input.kv;
  const pages = pagesFor(rows, pageTokens);
  const model = await input.openNative({
    modelPath: input.modelPath,
    backend: 'reference',
    background: true,
    threads: 1,
    quantization: input.quantization,
    adapterDtype: input.adapterDtype,
    ...(input.extraTokens !== undefined && { extraTokens: input.extraTokens }),
    maxStepTokens: rows,
    maxSequences: 1,
    kv: { bytes: pages * pageBytes, pageTokens, dtype },
  });
  try {
    signal.throwIfAborted();
    await model.mergeAdapter(input.merge);
    const plan = makeStepPlan({
      rows,
      sequences: 1,
      pagesPerSequence: pages,
      samples: rows,
      history: 0,
      bias: 0,
    });
    const scored: ScoredTokens[] = [];
    for (const tokens of input.texts) {
      signal.throwIfAborted();
      writePlan(plan, tokens);
      await model.step(plan);
      scored.push(readScores(plan, tokens));
    }
    return scored;
  } finally {
    await model.close();
  }
}

/** The text on pages 0, 1, ..: every row but the last scores the token behind it. */
function writePlan(plan: StepPlan, tokens: readonly number[]): void {
  const rows = tokens.length;
  plan.rows = rows;
  plan.sequences = 1;
  plan.segments = 0;
  plan.samples = rows - 1;
  plan.qStart.set([0, rows]);
  plan.kvLength[0] = rows;
  for (let page = 0; page < plan.pageTableStride; page++) plan.pageTable[page] = page;
  for (const [row, token] of tokens.entries()) {
    plan.token[row] = token;
    plan.position[row] = row;
    plan.kvSlot[row] = row;
  }
  for (let row = 0; row < rows - 1; row++) {
    plan.sampleRow[row] = row;
    const int = row * SAMPLE_INTS;
    plan.sampleInt.set(NEUTRAL_COLUMNS.ints, int);
    plan.sampleFloat.set(NEUTRAL_COLUMNS.floats, row * SAMPLE_FLOATS);
    plan.sampleInt[int + SAMPLE_INT.mode] = SAMPLE_MODE.score;
    plan.sampleInt[int + SAMPLE_INT.target] = tokens[row + 1] as number;
    plan.sampleInt[int + SAMPLE_INT.topLogprobs] = 1;
  }
}

function readScores(plan: StepPlan, tokens: readonly number[]): ScoredTokens {
  const scores = Array.from({ length: tokens.length - 1 }, (_, i) => i);
  return {
    tokens,
    logprobs: scores.map((i) => (plan.outFinite[i] === 1 ? (plan.outLogprob[i] as number) : Number.NaN)),
    best: scores.map((i) => plan.outTopToken[i * MAX_TOP_LOGPROBS] as number),
  };
}
