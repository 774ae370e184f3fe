import {
  type FloatNumber,
  type IntNumber,
  NEUTRAL_SAMPLING,
  type Sampling,
  SAMPLING_FIELDS,
  SAMPLING_NUMBERS,
} from '#contracts/sampling.js';

/* What a sampled row says to native, as columns of the step's plan. native/model/step_plan.h has the same columns. */

export const SAMPLE_MODE = { sample: 0, score: 1, hidden: 2 } as const;

/** Of StepPlan.sampleInt, in order. topLogprobs: -1 reports no log-probabilities. */
export const INT_COLUMNS = [
  'mode',
  'target',
  'topLogprobs',
  ...SAMPLING_NUMBERS.filter((name): name is IntNumber => SAMPLING_FIELDS[name].column === 'int'),
] as const;
/** Of StepPlan.sampleFloat, in order. */
export const FLOAT_COLUMNS = SAMPLING_NUMBERS.filter(
  (name): name is FloatNumber => SAMPLING_FIELDS[name].column === 'float',
);
export const SAMPLE_INTS = INT_COLUMNS.length;
export const SAMPLE_FLOATS = FLOAT_COLUMNS.length;
/** Where each column stands. */
export const SAMPLE_INT = indexOf(INT_COLUMNS);
export const SAMPLE_FLOAT = indexOf(FLOAT_COLUMNS);

function indexOf<Name extends string>(names: readonly Name[]): Readonly<Record<Name, number>> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<Name, number>;
}

/** A sampled row's numbers, made once for all steps of its request. */
export interface SampleColumns {
  /** [SAMPLE_INTS]; mode, target and topLogprobs are the step's to fill in. */
  readonly ints: Int32Array;
  /** [SAMPLE_FLOATS] */
  readonly floats: Float32Array;
}

export function sampleColumns(sampling: Partial<Sampling>): SampleColumns {
  const all: Partial<Sampling> = { ...NEUTRAL_SAMPLING, ...sampling };
  const valueOf = (name: IntNumber | FloatNumber): number => all[name] ?? SAMPLING_FIELDS[name].neutral;
  const own = INT_COLUMNS.map((name) => (name in SAMPLING_FIELDS ? valueOf(name as IntNumber) : 0));
  return { ints: Int32Array.from(own), floats: Float32Array.from(FLOAT_COLUMNS.map(valueOf)) };
}

/** Greedy; also what a row that only scores a token has. */
export const NEUTRAL_COLUMNS = sampleColumns({});
