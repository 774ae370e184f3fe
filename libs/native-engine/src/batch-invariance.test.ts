import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadGolden } from '../../../test/support/golden.js';
import { handManifest } from '../../../test/support/hand-manifest.js';
import {
  type DriverLimits,
  StepDriver,
  type TestSample,
  type TestSequence,
} from '../../../test/support/step-driver.js';
import { openModel } from './load.js';
import type { KvDtype, NativeModel, OpenOptions } from './native.js';

/* A request's tokens do not depend on its neighbours: every comparison here is of float bits. */

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 512, maxSequences: 32, maxContext: 256 };
const golden = loadGolden('cases/llama-gqa');
const prompt = golden.prompts[3] as readonly number[]; // 70 tokens: over several pages

const variants = [
  ['best', 'none', 'f32'],
  ['portable', 'none', 'f32'],
  ['best', 'int8', 'f32'],
  ['best', 'int4', 'f32'],
  ['best', 'nf4', 'f32'],
  ['best', 'none', 'int8'],
  ['best', 'int4', 'int8'],
] as const satisfies readonly (readonly [
  OpenOptions['isa'] | 'best',
  OpenOptions['quantization'],
  KvDtype,
])[];

describe.each(variants)('the cpu backend, isa %s, quantization %s, cache %s', (isa, quantization, dtype) => {
  let model: NativeModel;
  let driver: StepDriver;
  const handles: (number | undefined)[] = [undefined];

  beforeAll(async () => {
    model = await openModel({
      modelPath: golden.modelPath,
      backend: 'cpu',
      threads: 2,
      quantization,
      ...(isa === 'best' ? {} : { isa }),
      maxStepTokens: LIMITS.maxStepTokens,
      maxSequences: LIMITS.maxSequences,
      kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype },
    });
    driver = new StepDriver(model, LIMITS);
    for (const adapter of ['qv-r8', 'all-r16-bf16', 'dora-r8', 'embed-lm-head', 'save-lm-head']) {
      const spec = handManifest(`${golden.folder}/adapters/${adapter}`, adapter === 'all-r16-bf16' ? 1 : 2);
      handles.push((await model.loadAdapter(spec)).handle);
    }
  });
  afterAll(() => model?.close());

  /** Scores the prompt beside neighbours that decode or prefill, the prompt in chunks of the given sizes. */
  async function scoreAmong(
    adapter: number | undefined,
    chunks: readonly number[],
    neighbours: readonly TestSequence[],
    before: number,
  ): Promise<number[]> {
    const sequence = driver.sequence(prompt, adapter);
    const logprobs: number[] = [];
    for (const chunk of chunks) {
      const around = neighbours.map((neighbour) => driver.advance(neighbour));
      const works = [...around.slice(0, before), driver.scoring(sequence, chunk), ...around.slice(before)];
      const results = await driver.run(works);
      logprobs.push(...(results[before] as TestSample[]).map((sample) => sample.logprob));
      const samples = [...results.slice(0, before), ...results.slice(before + 1)];
      neighbours.forEach((neighbour, i) => {
        neighbour.tokens.push(samples[i]?.[0]?.token ?? 0);
      });
    }
    expect(sequence.computed).toBe(prompt.length);
    driver.release(sequence);
    return logprobs;
  }

  it('scores a prompt to the bit alike: alone, chunked, and among neighbours of every kind', async () => {
    for (const adapter of handles) {
      const alone = await scoreAmong(adapter, [70], [], 0);
      expect(alone.length).toBe(69);
      expect(await scoreAmong(adapter, Array<number>(70).fill(1), [], 0)).toEqual(alone);
      expect(await scoreAmong(adapter, [1, 16, 17, 3, 32, 1], [], 0)).toEqual(alone);
      const neighbours = handles.map((other, i) => driver.sequence(golden.prompts[i % 3] ?? [], other));
      expect(await scoreAmong(adapter, [7, 40, 23], neighbours, 0)).toEqual(alone);
      expect(await scoreAmong(adapter, [70], neighbours, 3)).toEqual(alone);
      expect(await scoreAmong(adapter, [33, 37], neighbours, neighbours.length)).toEqual(alone);
      for (const neighbour of neighbours) driver.release(neighbour);
    }
  });

  it('draws the same random tokens alone and in a batch, in any order', async () => {
    const sampling = (counter: number) => ({
      mode: 'sample' as const,
      temperature: 1.2,
      topP: 0.95,
      seed: 77n,
      counter: BigInt(counter),
    });
    const continueAll = async (sequences: readonly TestSequence[], count: number): Promise<number[][]> => {
      const drawn: number[][] = sequences.map(() => []);
      for (let counter = 0; counter < count; counter++) {
        const results = await driver.run(
          sequences.map((sequence) => driver.advance(sequence, sampling(counter))),
        );
        for (const [i, samples] of results.entries()) {
          const token = samples[0]?.token as number;
          drawn[i]?.push(token);
          sequences[i]?.tokens.push(token);
        }
      }
      for (const sequence of sequences) driver.release(sequence);
      return drawn;
    };
    const fresh = (): TestSequence[] =>
      handles.map((handle, i) => driver.sequence(golden.prompts[i % 4] ?? [], handle));
    const alone: number[][] = [];
    for (const sequence of fresh()) alone.push(...(await continueAll([sequence], 12)));
    expect(await continueAll(fresh(), 12)).toEqual(alone);
    expect((await continueAll(fresh().toReversed(), 12)).toReversed()).toEqual(alone);
  });
});
