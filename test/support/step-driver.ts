import type { Sampling, SamplingNumber } from '../../libs/contracts/src/sampling.js';
import { MAX_TOP_LOGPROBS, type NativeModel, type StepPlan } from '../../libs/native-engine/src/native.js';
import {
  SAMPLE_FLOATS,
  SAMPLE_INT,
  SAMPLE_INTS,
  SAMPLE_MODE,
  sampleColumns,
} from '../../libs/native-engine/src/sample-columns.js';
import { makeStepPlan } from '../../libs/native-engine/src/step-plan.js';

/** One sequence of a test: its tokens, how many are in the cache, and the pages that hold them. */
export interface TestSequence {
  readonly tokens: number[];
  computed: number;
  readonly pages: number[];
  readonly adapter: number | undefined;
}

export interface TestSampling extends Partial<Pick<Sampling, SamplingNumber>> {
  readonly mode: 'sample' | 'score';
  readonly target?: number;
  readonly seed?: bigint;
  readonly counter?: bigint;
  readonly topLogprobs?: number;
  readonly history?: ReadonlyMap<number, number>;
  readonly bias?: ReadonlyMap<number, number>;
  readonly listed?: readonly number[];
}

/** The sequence's next `rows` tokens; `sample` maps a row (counted from the work's first) to what is read from it. */
export interface TestWork {
  readonly sequence: TestSequence;
  readonly rows: number;
  readonly sample: ReadonlyMap<number, TestSampling>;
}

export interface TestSample {
  readonly token: number;
  readonly finite: boolean;
  readonly logprob: number;
  readonly top: readonly (readonly [number, number])[];
}

export interface DriverLimits {
  readonly pageTokens: number;
  readonly maxStepTokens: number;
  readonly maxSequences: number;
  readonly maxContext: number;
}

/** Drives a NativeModel step by step as the scheduler does, without its policies. */
export class StepDriver {
  readonly plan: StepPlan;
  private readonly freePages: number[];

  constructor(
    readonly model: NativeModel,
    readonly limits: DriverLimits,
  ) {
    this.freePages = Array.from({ length: model.description.kvPages }, (_, page) => page);
    this.plan = makeStepPlan({
      rows: limits.maxStepTokens,
      sequences: limits.maxSequences,
      pagesPerSequence: Math.ceil(limits.maxContext / limits.pageTokens),
      samples: limits.maxStepTokens,
      history: 4096,
      bias: 4096,
    });
  }

  sequence(tokens: readonly number[], adapter?: number): TestSequence {
    return { tokens: [...tokens], computed: 0, pages: [], adapter };
  }

  release(sequence: TestSequence): void {
    this.freePages.push(...sequence.pages.splice(0));
    sequence.computed = 0;
  }

  /** One step. The answer holds, per work, its samples in row order. */
  async run(works: readonly TestWork[]): Promise<TestSample[][]> {
    this.write(works);
    await this.model.step(this.plan);
    let at = 0;
    return works.map((work) => {
      work.sequence.computed += work.rows;
      return [...work.sample].map(() => this.result(at++));
    });
  }

  /** Refills the plan without running it. */
  write(works: readonly TestWork[]): void {
    const { plan } = this;
    plan.rows = 0;
    plan.sequences = 0;
    plan.segments = 0;
    plan.samples = 0;
    plan.qStart[0] = 0;
    plan.historyStart[0] = 0;
    plan.biasStart[0] = 0;
    for (const work of works) this.add(work);
  }

  private add({ sequence, rows, sample }: TestWork): void {
    const { plan } = this;
    const { pageTokens } = this.limits;
    const end = sequence.computed + rows;
    while (sequence.pages.length * pageTokens < end) {
      const page = this.freePages.pop();
      if (page === undefined) throw new Error('the test ran out of KV pages');
      sequence.pages.push(page);
    }
    const row0 = plan.rows;
    for (let position = sequence.computed; position < end; position++) {
      const page = sequence.pages[Math.floor(position / pageTokens)] as number;
      plan.token[plan.rows] = sequence.tokens[position] as number;
      plan.position[plan.rows] = position;
      plan.kvSlot[plan.rows] = page * pageTokens + (position % pageTokens);
      plan.rows++;
    }
    plan.pageTable.set(sequence.pages, plan.sequences * plan.pageTableStride);
    plan.kvLength[plan.sequences] = end;
    plan.sequences++;
    plan.qStart[plan.sequences] = plan.rows;
    if (sequence.adapter !== undefined) plan.segment.set([row0, rows, sequence.adapter], plan.segments++ * 3);
    for (const [row, sampling] of sample) this.addSample(row0 + row, sampling);
  }

  private addSample(row: number, sampling: TestSampling): void {
    const { plan } = this;
    const at = plan.samples++;
    plan.sampleRow[at] = row;
    const { seed: _, ...numbers } = sampling;
    const columns = sampleColumns(numbers);
    const ints = at * SAMPLE_INTS;
    plan.sampleInt.set(columns.ints, ints);
    plan.sampleInt[ints + SAMPLE_INT.mode] = SAMPLE_MODE[sampling.mode];
    plan.sampleInt[ints + SAMPLE_INT.target] = sampling.target ?? 0;
    plan.sampleInt[ints + SAMPLE_INT.topLogprobs] = sampling.topLogprobs ?? 0;
    plan.sampleFloat.set(columns.floats, at * SAMPLE_FLOATS);
    plan.sampleSeed[at * 2] = sampling.seed ?? 0n;
    plan.sampleSeed[at * 2 + 1] = sampling.counter ?? 0n;
    let history = plan.historyStart[at] as number;
    for (const [token, count] of sampling.history ?? []) {
      plan.historyToken[history] = token;
      plan.historyCount[history++] = count;
    }
    plan.historyStart[at + 1] = history;
    const { listed = [] } = sampling;
    const listedAt = plan.listedStart[at] as number;
    plan.listedToken.set(listed, listedAt);
    plan.listedStart[at + 1] = listedAt + listed.length;
    let bias = plan.biasStart[at] as number;
    for (const [token, value] of sampling.bias ?? []) {
      plan.biasToken[bias] = token;
      plan.biasValue[bias++] = value;
    }
    plan.biasStart[at + 1] = bias;
  }

  private result(at: number): TestSample {
    const { plan } = this;
    const first = at * MAX_TOP_LOGPROBS;
    const count = plan.outTopCount[at] as number;
    return {
      token: plan.outToken[at] as number,
      finite: plan.outFinite[at] === 1,
      logprob: plan.outLogprob[at] as number,
      top: Array.from(
        { length: count },
        (_, i) => [plan.outTopToken[first + i] as number, plan.outTopLogprob[first + i] as number] as const,
      ),
    };
  }

  /** Log-probability of every prompt token but the first, given its prefix; the prompt in chunks of `chunk` rows. */
  async scorePrompt(
    tokens: readonly number[],
    adapter?: number,
    chunk: number = tokens.length,
  ): Promise<number[]> {
    const sequence = this.sequence(tokens, adapter);
    const logprobs: number[] = [];
    while (sequence.computed < tokens.length) {
      const [samples] = await this.run([this.scoring(sequence, chunk)]);
      logprobs.push(...(samples as TestSample[]).map((sample) => sample.logprob));
    }
    this.release(sequence);
    return logprobs;
  }

  /** Work that scores each of the next rows' successors in the prompt. */
  scoring(sequence: TestSequence, chunk: number): TestWork {
    const rows = Math.min(chunk, sequence.tokens.length - sequence.computed);
    const sample = new Map<number, TestSampling>();
    for (let row = 0; row < rows; row++) {
      const target = sequence.tokens[sequence.computed + row + 1];
      if (target !== undefined) sample.set(row, { mode: 'score', target });
    }
    return { sequence, rows, sample };
  }

  /** Work that computes all remaining tokens and samples after the last. */
  advance(sequence: TestSequence, sampling: TestSampling = { mode: 'sample' }): TestWork {
    const rows = sequence.tokens.length - sequence.computed;
    return { sequence, rows, sample: new Map([[rows - 1, sampling]]) };
  }

  /** Greedy continuations of several sequences in common steps. */
  async generate(sequences: readonly TestSequence[], count: number): Promise<TestSample[][]> {
    const samples: TestSample[][] = sequences.map(() => []);
    for (let token = 0; token < count; token++) {
      const results = await this.run(sequences.map((sequence) => this.advance(sequence)));
      results.forEach(([sample], i) => {
        if (sample === undefined) throw new Error('a sample is missing');
        samples[i]?.push(sample);
        sequences[i]?.tokens.push(sample.token);
      });
    }
    return samples;
  }
}
