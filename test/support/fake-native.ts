import { setImmediate as nextTurn } from 'node:timers/promises';
import type { NativeErrorKind } from '../../libs/native-engine/src/native-error.js';
import {
  type AdapterSpec,
  type LoadedAdapter,
  MAX_TOP_LOGPROBS,
  type ModelDescription,
  type NativeModel,
  type StepPlan,
  type WeightedAdapter,
} from '#native-engine/native.js';
import {
  SAMPLE_FLOAT,
  SAMPLE_FLOATS,
  SAMPLE_INT,
  SAMPLE_INTS,
  SAMPLE_MODE,
} from '#native-engine/sample-columns.js';

export interface FakeNativeOptions {
  readonly kvPages: number;
  readonly pageTokens: number;
  readonly vocabSize?: number;
  readonly maxPositions?: number;
  /** Real time that a step takes at least, so that tests can act while one runs. */
  readonly stepTurns?: number;
  /** How many of the last tokens decide the next; all of them when absent. Few make the text repeat itself. */
  readonly memoryTokens?: number;
  /** Event loop turns that an adapter's load takes. */
  readonly loadTurns?: number;
  /** What a step of so many rows says it took; a hundredth of a millisecond when absent. */
  readonly stepTime_ms?: (rows: number) => number;
  /** False: results only, for measuring what surrounds the steps. */
  readonly checks?: boolean;
}

/** What the fake's "model" says after `tokens`: a pure function, so any batch must give what a lone request gives. */
export function fakeNext(adapter: number, tokens: readonly number[], vocabSize: number): number {
  let hash = 2166136261 ^ adapter;
  for (const token of tokens) hash = Math.imul(hash ^ token, 16777619) >>> 0;
  return 7 + (hash % (vocabSize - 12));
}

/** What the fake takes for the adapter in a sequence of which the base has computed the first `from` tokens. */
export const activatedFrom = (adapter: number, from: number): number => adapter + from * 65_599;

/** The hidden state of the last of `tokens`. */
export function fakeHidden(tokens: readonly number[], hiddenSize: number): Float32Array {
  return Float32Array.from({ length: hiddenSize }, (_, i) => fakeNext(i, tokens, 4_096) / 4_096 - 0.5);
}

function fail(message: string): never {
  throw new Error(`the plan is wrong: ${message}`);
}

/**
 * A native model without a network. It keeps a real paged cache of which token of which adapter lies in which slot, reads
 * each sequence's past back through its page table, and refuses a plan that breaks any rule of the interface.
 */
export class FakeNative implements NativeModel {
  readonly description: ModelDescription;
  readonly #slotToken: Int32Array;
  readonly #slotPosition: Int32Array;
  readonly #slotAdapter: Int32Array;
  readonly adapters = new Map<number, AdapterSpec>();
  steps = 0;
  /** The steps that computed something without an adapter, from 1. */
  readonly baseSteps: number[] = [];
  running = false;
  closed = false;
  maxRows = 0;
  /** Rows of all steps. */
  rows = 0;
  copiedPages = 0;
  /** The step with this number fails. */
  failStep: number | undefined;
  /** Why it, or a load, fails. */
  failKind: NativeErrorKind = 'invalid';
  /** So many masks are not looked at: they come too late. */
  lateMasks = 0;
  /** A row after this token has no finite logits. */
  poisonToken: number | undefined;
  failLoad: string | undefined;
  #inUse: ReadonlySet<number> = new Set();
  #nextHandle = 1;
  readonly #identities = new Map<string, number>();

  constructor(private readonly options: FakeNativeOptions) {
    const slots = options.kvPages * options.pageTokens;
    this.#slotToken = new Int32Array(slots).fill(-1);
    this.#slotPosition = new Int32Array(slots).fill(-1);
    this.#slotAdapter = new Int32Array(slots).fill(-1);
    this.description = {
      family: 'fake',
      architecture: 'FakeForCausalLM',
      hiddenSize: 8,
      numLayers: 1,
      vocabSize: options.vocabSize ?? 512,
      maxPositions: options.maxPositions ?? 512,
      tieWordEmbeddings: false,
      experts: [],
      unreadModules: [],
      ignoredTensors: 0,
      vocabularyWeights: [],
      eosTokenIds: [1],
      bosTokenId: 0,
      quantization: 'none',
      modules: [],
      device: 'fake',
      kvPages: options.kvPages,
      kvBytesPerPage: 64,
      kvPageTokens: options.pageTokens,
      weightBytes: 0,
    };
  }

  async loadAdapter(asked: AdapterSpec | readonly WeightedAdapter[]): Promise<LoadedAdapter> {
    for (let turn = 0; turn < (this.options.loadTurns ?? 1); turn++) await nextTurn();
    if (this.failLoad !== undefined) {
      throw Object.assign(new Error(this.failLoad), { kind: this.failKind });
    }
    const handle = this.#nextHandle++;
    const parts = 'modules' in asked ? [] : asked;
    const spec = 'modules' in asked ? asked : sumOf(asked);
    this.adapters.set(handle, spec);
    return { handle, bytes: 80 * Math.max(1, parts.length) };
  }

  async mergeAdapter(): Promise<void> {
    throw new Error('only the reference backend can merge');
  }

  dropAdapter(handle: number): void {
    if (this.#inUse.has(handle)) throw new Error(`adapter ${handle} is used by the running step`);
    if (!this.adapters.delete(handle)) throw new Error(`no adapter ${handle}`);
  }

  memory() {
    if (this.closed) throw Object.assign(new Error('the model is closed'), { kind: 'closed' });
    return { weightBytes: 1000, kvBytes: 200, adapterBytes: 80 * this.adapters.size, scratchBytes: 30 };
  }

  async close(): Promise<void> {
    if (this.running) fail('closed while a step runs');
    this.closed = true;
  }

  async step(plan: StepPlan): Promise<{ native_ms: number }> {
    if (this.running) fail('two steps at once');
    this.running = true;
    this.steps++;
    this.rows += plan.rows;
    this.maxRows = Math.max(this.maxRows, plan.rows);
    try {
      await masksCome(plan);
      this.#copyPages(plan);
      const adapterOfRow = this.#adapterOfRow(plan);
      this.#inUse = new Set(adapterOfRow.map(handleOf));
      if (adapterOfRow.includes(0)) this.baseSteps.push(this.steps);
      if (this.options.checks !== false) this.#check(plan, adapterOfRow);
      const results = this.options.checks === false ? quick(plan) : this.#compute(plan, adapterOfRow);
      for (let turn = 0; turn < (this.options.stepTurns ?? 1); turn++) await nextTurn();
      if (this.steps === this.failStep) {
        throw Object.assign(new Error('the device is on fire'), { kind: this.failKind });
      }
      results();
      return { native_ms: this.options.stepTime_ms?.(plan.rows) ?? 0.01 };
    } finally {
      this.running = false;
      this.#inUse = new Set();
    }
  }

  #copyPages(plan: StepPlan): void {
    const { pageTokens, kvPages } = this.options;
    const targets = new Set(plan.copyTo.subarray(0, plan.copies));
    if (targets.size !== plan.copies) fail('a page is copied to twice');
    for (let i = 0; i < plan.copies; i++) {
      const source = plan.copyFrom[i] as number;
      const page = plan.copyTo[i] as number;
      if (source < 0 || source >= kvPages || page < 0 || page >= kvPages)
        fail('a copied page does not exist');
      if (targets.has(source)) fail(`page ${source} is copied from and to`);
      const target = page * pageTokens;
      for (const slots of [this.#slotToken, this.#slotPosition, this.#slotAdapter]) {
        slots.copyWithin(target, source * pageTokens, (source + 1) * pageTokens);
      }
    }
    this.copiedPages += plan.copies;
  }

  /** The same for an adapter that was dropped and loaded again: what it computed stays valid, under the same scale. */
  #identity(handle: number): number {
    if (handle === 0) return 0;
    const weights = `${this.adapters.get(handleOf(handle))?.weightsPath ?? ''} ${handle - handleOf(handle)}`;
    const known = this.#identities.get(weights) ?? this.#identities.size + 1;
    this.#identities.set(weights, known);
    return known;
  }

  #adapterOfRow(plan: StepPlan): Int32Array {
    const adapterOfRow = new Int32Array(plan.rows);
    let end = 0;
    for (let g = 0; g < plan.segments; g++) {
      const [row0, rows, handle] = plan.segment.subarray(g * 3, g * 3 + 3) as unknown as [
        number,
        number,
        number,
      ];
      if (row0 < end || rows < 1 || row0 + rows > plan.rows) fail('segments overlap or leave the step');
      if (!this.adapters.has(handle)) fail(`segment of an unknown adapter ${handle}`);
      const scaled = scaledHandle(handle, plan.segmentScale[g] as number);
      const beginsSequence = plan.qStart.subarray(0, plan.sequences).includes(row0);
      if (beginsSequence && adapterOfRow.includes(scaled)) fail('an adapter has two segments of one scale');
      adapterOfRow.fill(scaled, row0, row0 + rows);
      end = row0 + rows;
    }
    return adapterOfRow;
  }

  #check(plan: StepPlan, adapterOfRow: Int32Array): void {
    const { pageTokens, kvPages } = this.options;
    if (plan.rows < 1 || plan.sequences < 1) fail('an empty step');
    if (plan.qStart[0] !== 0 || plan.qStart[plan.sequences] !== plan.rows) fail('rows without a sequence');
    const writer = new Map<number, number>();
    const readers = new Map<number, Set<number>>();
    for (let s = 0; s < plan.sequences; s++) {
      const begin = plan.qStart[s] as number;
      const end = plan.qStart[s + 1] as number;
      const length = plan.kvLength[s] as number;
      if (end <= begin) fail('a sequence without rows');
      for (let page = 0; page * pageTokens < length; page++) {
        const id = plan.pageTable[s * plan.pageTableStride + page] as number;
        if (page >= plan.pageTableStride || id < 0 || id >= kvPages) fail(`page ${id} does not exist`);
        readers.set(id, (readers.get(id) ?? new Set()).add(s));
        if (page >= Math.floor((length - (end - begin)) / pageTokens)) writer.set(id, s);
      }
      for (let row = begin; row < end; row++) {
        const position = length - (end - row);
        if (plan.position[row] !== position) fail('positions are not the last of the sequence');
        if (plan.kvSlot[row] !== this.#slot(plan, s, position))
          fail('a row is written outside its page table');
        const before = row === begin ? 0 : adapterOfRow[row - 1];
        if (before !== 0 && before !== adapterOfRow[row]) fail('a sequence has two adapters');
      }
    }
    for (const id of writer.keys()) {
      if (readers.get(id)?.size !== 1) fail(`page ${id} is written while another sequence reads it`);
    }
    for (let r = 1; r < plan.samples; r++) {
      if ((plan.sampleRow[r] as number) <= (plan.sampleRow[r - 1] as number))
        fail('sampled rows do not ascend');
    }
    if (plan.historyStart[0] !== 0 || plan.biasStart[0] !== 0) fail('lists do not start at 0');
  }

  #slot(plan: StepPlan, sequence: number, position: number): number {
    const { pageTokens } = this.options;
    const page = plan.pageTable[
      sequence * plan.pageTableStride + Math.floor(position / pageTokens)
    ] as number;
    return page * pageTokens + (position % pageTokens);
  }

  /** Fills the cache; returns what writes the results, as native does when the step ends. */
  #compute(plan: StepPlan, adapterOfRow: Int32Array): () => void {
    for (let row = 0; row < plan.rows; row++) {
      const slot = plan.kvSlot[row] as number;
      this.#slotToken[slot] = plan.token[row] as number;
      this.#slotPosition[slot] = plan.position[row] as number;
      this.#slotAdapter[slot] = this.#identity(adapterOfRow[row] as number);
    }
    const results: (() => void)[] = [];
    let sequence = 0;
    for (let r = 0; r < plan.samples; r++) {
      const row = plan.sampleRow[r] as number;
      while ((plan.qStart[sequence + 1] as number) <= row) sequence++;
      const adapter = adapterOfRow[row] as number;
      const { past, from } = this.#past(plan, sequence, plan.position[row] as number, adapter);
      results.push(this.#result(plan, r, activatedFrom(adapter, from), past));
    }
    return () => {
      for (const write of results) write();
    };
  }

  /** The tokens that attention of this row would see, read through the page table; of an adapter's, where it began. */
  #past(plan: StepPlan, sequence: number, last: number, adapter: number): { past: number[]; from: number } {
    const tokens: number[] = [];
    let from = 0;
    for (let position = 0; position <= last; position++) {
      const slot = this.#slot(plan, sequence, position);
      if (this.#slotPosition[slot] !== position) fail(`slot ${slot} holds another position`);
      if (adapter !== 0 && from === position && this.#slotAdapter[slot] === 0) from++;
      else if (this.#slotAdapter[slot] !== this.#identity(adapter))
        fail(`slot ${slot} was computed with another adapter`);
      tokens.push(this.#slotToken[slot] as number);
    }
    return { past: tokens, from };
  }

  #result(plan: StepPlan, r: number, adapter: number, past: readonly number[]): () => void {
    const seen = past.slice(-(this.options.memoryTokens ?? past.length));
    const best = fakeNext(adapter, seen, this.description.vocabSize);
    const isScore = plan.sampleInt[r * SAMPLE_INTS + SAMPLE_INT.mode] === 1;
    if (plan.sampleInt[r * SAMPLE_INTS + SAMPLE_INT.mode] === SAMPLE_MODE.hidden)
      return this.#hidden(plan, r, past);
    const target = plan.sampleInt[r * SAMPLE_INTS + SAMPLE_INT.target] as number;
    const top = plan.sampleInt[r * SAMPLE_INTS + SAMPLE_INT.topLogprobs] as number;
    const finite = past.at(-1) !== this.poisonToken;
    return () => {
      const token = isScore ? target : this.#draw(plan, r, best);
      plan.outDrawn[r] = token === undefined ? 0 : 1;
      if (token === undefined) return;
      plan.outToken[r] = token;
      plan.outFinite[r] = finite && token !== NOTHING_LEFT ? 1 : 0;
      plan.outLogprob[r] = token === best ? -0.5 : -2 - (token % 8);
      const listed = plan.listedToken.subarray(plan.listedStart[r], plan.listedStart[r + 1]);
      if (listed.length > 0) {
        plan.outTopCount[r] = listed.length;
        plan.outTopToken.set(listed, r * MAX_TOP_LOGPROBS);
        for (const [i, id] of listed.entries()) plan.outTopLogprob[r * MAX_TOP_LOGPROBS + i] = -2 - (id % 8);
        return;
      }
      plan.outTopCount[r] = Math.max(0, top);
      for (let i = 0; i < top; i++) {
        plan.outTopToken[r * MAX_TOP_LOGPROBS + i] = (best + i) % this.description.vocabSize;
        plan.outTopLogprob[r * MAX_TOP_LOGPROBS + i] = -0.5 - i;
      }
    };
  }

  #hidden(plan: StepPlan, r: number, past: readonly number[]): () => void {
    const { hiddenSize } = this.description;
    const isHidden = (sample: number) =>
      plan.sampleInt[sample * SAMPLE_INTS + SAMPLE_INT.mode] === SAMPLE_MODE.hidden;
    const before = Array.from({ length: r }, (_, sample) => sample).filter(isHidden).length;
    const state = fakeHidden(past, hiddenSize);
    const finite = past.at(-1) !== this.poisonToken;
    return () => {
      plan.outDrawn[r] = 1;
      plan.outFinite[r] = finite ? 1 : 0;
      plan.outHidden.set(state, before * hiddenSize);
    };
  }

  /** Undefined: the row's mask is not there. */
  #draw(plan: StepPlan, r: number, best: number): number | undefined {
    const { masks } = plan;
    const slot = plan.maskSlot[r] as number;
    const hasMask = masks !== undefined && slot >= 0;
    if (hasMask && (this.lateMasks-- > 0 || Atomics.load(masks.numbers, slot) !== plan.maskNumber[r]))
      return undefined;
    const allows = (id: number): boolean =>
      !hasMask || (((masks.masks[slot * masks.words + (id >> 5)] as number) >> (id & 31)) & 1) === 1;
    const temperature = plan.sampleFloat[r * SAMPLE_FLOATS + SAMPLE_FLOAT.temperature] as number;
    let token = best;
    if (temperature > 0) {
      const seed = Number(BigInt.asUintN(20, plan.sampleSeed[r * 2] as bigint));
      token =
        7 + ((best + seed * 31 + Number(plan.sampleSeed[r * 2 + 1])) % (this.description.vocabSize - 12));
    }
    const begin = plan.biasStart[r] as number;
    const bias = new Map<number, number>();
    for (let i = begin; i < (plan.biasStart[r + 1] as number); i++) {
      const id = plan.biasToken[i] as number;
      bias.set(id, (bias.get(id) ?? 0) + (plan.biasValue[i] as number));
    }
    const wanted = [...bias].find(([, value]) => value >= 50);
    if (wanted !== undefined) token = wanted[0];
    const seen = new Set(plan.historyToken.subarray(plan.historyStart[r], plan.historyStart[r + 1]));
    if (plan.sampleFloat[r * SAMPLE_FLOATS + SAMPLE_FLOAT.repetitionPenalty] === 1) seen.clear();
    const begun = token;
    while (bias.get(token) === Number.NEGATIVE_INFINITY || seen.has(token) || !allows(token)) {
      token = (token + 1) % this.description.vocabSize;
      if (token === begun) return NOTHING_LEFT;
    }
    return token;
  }
}

function sumOf(parts: readonly WeightedAdapter[]): AdapterSpec {
  return {
    weightsPath: parts.map(({ weight, weightsPath }) => `${weight}*${weightsPath}`).join('+'),
    modules: parts.flatMap(({ modules }) => modules),
  };
}

const NOTHING_LEFT = -1;

/** With another scale an adapter is to the fake another adapter; scales are told apart to the thousandth. */
export function scaledHandle(handle: number, scale: number): number {
  return scale === 1 ? handle : handle + (Math.round(scale * 1000) + SCALES / 2) * HANDLES;
}
const HANDLES = 4_096;
const SCALES = 262_144;
const handleOf = (scaled: number): number => scaled % HANDLES;

function quick(plan: StepPlan): () => void {
  return () => {
    for (let r = 0; r < plan.samples; r++) {
      plan.outToken[r] = 7 + ((plan.token[plan.sampleRow[r] as number] as number) % 400);
      plan.outFinite[r] = 1;
    }
  };
}

/** Native waits for masks too, if not for so long. */
async function masksCome({ masks, samples, maskSlot, maskNumber }: StepPlan): Promise<void> {
  if (masks === undefined) return;
  const isDue = (_: unknown, sample: number): boolean => {
    const slot = maskSlot[sample] as number;
    return slot >= 0 && Math.abs(Atomics.load(masks.numbers, slot)) !== maskNumber[sample];
  };
  const due = Array.from({ length: samples });
  for (const until = Date.now() + 5_000; due.some(isDue) && Date.now() < until; ) await nextTurn();
}
