import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectModel, openModel } from '#native-engine/load.js';
import type { NativeModel } from '#native-engine/native.js';
import { GGUF_CASES, type GgufFields, ggufFile, ggufOfCase, type GgufParts } from '../support/gguf-file.js';
import { comparableTokens, type GoldenRun } from '../support/golden.js';
import { modulesOf } from '../support/golden-modules.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/*
 * GGUF: the golden models as files give what their folders give, adapters included; quantized ones what Transformers + PEFT
 * give of their dequantized twins (make_gguf_models.py).
 */

const GOLDEN = import.meta.dirname;
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 2048, maxSequences: 64, maxContext: 512 };
/** The product promises 0.02; float32 arithmetic on the same weights does better. */
const TOLERANCE = 2e-3;

interface Golden {
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly GoldenRun[];
}

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-gguf-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of which a file keeps a number in float32 that the checkpoint has, or works out, in more: factors of the rope, a scale. */
const ROUNDED: ReadonlySet<string> = new Set(['cases/llama3-rope-tied-sharded', 'cases/gemma2-softcap']);

let files = 0;
function written(bytes: Buffer, name = `${files++}.gguf`): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const fileOf = ({ fields, tensors }: GgufParts): string => written(ggufFile(fields, tensors));

const open = (modelPath: string, backend: 'reference' | 'cpu' = 'cpu'): Promise<NativeModel> =>
  openModel({
    modelPath,
    backend,
    threads: 2,
    quantization: 'none',
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 8 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });

async function handlesOf(model: NativeModel, adapters: string, wanted: Iterable<string | null>) {
  const handles = new Map<string | null, number | undefined>([[null, undefined]]);
  for (const adapter of new Set(wanted)) {
    if (adapter === null) continue;
    const weightsPath = join(adapters, adapter, 'adapter_model.safetensors');
    const modules = modulesOf(join(adapters, adapter), model, LIMITS.maxContext);
    handles.set(adapter, (await model.loadAdapter({ weightsPath, modules })).handle);
  }
  return handles;
}

/** Log-probabilities of each run's prompt and answer. */
async function scoresOf(model: NativeModel, caseFolder: string): Promise<Map<GoldenRun, readonly number[]>> {
  const { prompts, runs } = JSON.parse(readFileSync(join(caseFolder, 'golden.json'), 'utf8')) as Golden;
  const handles = await handlesOf(
    model,
    join(caseFolder, 'adapters'),
    runs.map(({ adapter }) => adapter),
  );
  const driver = new StepDriver(model, LIMITS);
  const scores = new Map<GoldenRun, readonly number[]>();
  for (const run of runs) {
    const tokens = [...(prompts[run.prompt] ?? []), ...run.greedy_ids];
    scores.set(run, await driver.scorePrompt(tokens, handles.get(run.adapter)));
  }
  return scores;
}

describe.each(GGUF_CASES)('%s as a GGUF file', (name) => {
  const caseFolder = join(GOLDEN, name);

  it('is the network of the folder that it was made from, with all its adapters', async () => {
    const models = [await open(fileOf(ggufOfCase(name))), await open(join(caseFolder, 'model'))] as const;
    try {
      const [file, original] = models;
      // Where a folder's files have its embedding says nothing of a GGUF file.
      const { architecture: _, vocabularyWeights: __, ...described } = original.description;
      expect(file.description).toMatchObject(described);
      const scores = [await scoresOf(file, caseFolder), await scoresOf(original, caseFolder)] as const;
      const expected = [...scores[1].values()];
      for (const [i, given] of [...scores[0].values()].entries()) {
        if (ROUNDED.has(name))
          for (const [at, value] of given.entries()) expect(value).toBeCloseTo(expected[i]?.[at] ?? 0, 3);
        else expect(given).toEqual(expected[i]);
      }
    } finally {
      for (const model of models) await model.close();
    }
  });
});

const QUANTIZED = ['llama-k', 'qwen2-legacy', 'gemma2-tables'];

describe.each(QUANTIZED)('%s, quantized', (name) => {
  it.each(['reference', 'cpu'] as const)('gives what its dequantized twin gives, on %s', async (backend) => {
    const caseFolder = join(GOLDEN, 'gguf', name);
    const model = await open(join(caseFolder, 'model.gguf'), backend);
    try {
      for (const [run, given] of await scoresOf(model, caseFolder)) {
        const wanted = [...run.prompt_logprobs.slice(1), ...run.greedy_logprobs] as number[];
        const offs = wanted.map((value, i) =>
          Math.abs(value - (given[i + given.length - wanted.length] ?? Number.NaN)),
        );
        expect(Math.max(...offs), `${run.adapter ?? 'base'}, prompt ${run.prompt}`).toBeLessThan(TOLERANCE);
        expect(comparableTokens(run)).toBeGreaterThanOrEqual(0);
      }
    } finally {
      await model.close();
    }
  });
});

const LLAMA = 'cases/llama-gqa';
const without = (parts: GgufParts, tensor: string): GgufParts => ({
  ...parts,
  tensors: parts.tensors.filter((each) => each.name !== tensor),
});
const withFields = (parts: GgufParts, fields: GgufFields): GgufParts => ({
  ...parts,
  fields: { ...parts.fields, ...fields },
});

/** One file as parts: so many tensors in each. */
function split(
  parts: GgufParts,
  counts: readonly number[],
  stem: string,
  changes: GgufFields = {},
): string[] {
  let at = 0;
  return counts.map((count, i) => {
    const tensors = parts.tensors.slice(at, at + count);
    at += count;
    const place: GgufFields = {
      'split.no': ['u32', i],
      'split.count': ['u32', counts.length],
      'split.tensors.count': ['i32', parts.tensors.length],
      ...changes,
    };
    const number = (value: number): string => String(value).padStart(5, '0');
    const file = `${stem}-${number(i + 1)}-of-${number(counts.length)}.gguf`;
    return written(ggufFile(i === 0 ? { ...parts.fields, ...place } : place, tensors), file);
  });
}

describe('a GGUF model', () => {
  const parts = ggufOfCase(LLAMA);
  const tensors = parts.tensors.length;

  it('may lie in parts, of which the first is named', async () => {
    const [first = ''] = split(parts, [5, 0, tensors - 5], 'whole');
    const model = await open(first);
    const scores = await new StepDriver(model, LIMITS).scorePrompt([3, 4, 5, 6]);
    await model.close();
    const single = await open(fileOf(parts));
    expect(scores).toEqual(await new StepDriver(single, LIMITS).scorePrompt([3, 4, 5, 6]));
    await single.close();
  });

  it('says what is wrong with its parts', () => {
    const [, second = ''] = split(parts, [5, tensors - 5], 'second');
    expect(() => inspectModel(second)).toThrow(
      /second-00002-of-00002.gguf: is not the first part; name .*-00001-of-/,
    );
    const [alone = ''] = split(parts, [5, tensors - 5], 'missing');
    rmSync(join(folder, 'missing-00002-of-00002.gguf'));
    expect(() => inspectModel(alone)).toThrow(/cannot open .*missing-00002-of-00002.gguf/);
    const [few = ''] = split(parts, [5, tensors - 6], 'few');
    expect(() => inspectModel(few)).toThrow(
      `split.tensors.count is ${tensors}, but the parts hold ${tensors - 1}`,
    );
    const [wrong = ''] = split(parts, [5, tensors - 5], 'wrong', { 'split.no': ['u32', 0] });
    expect(() => inspectModel(wrong)).toThrow('says that it is part 1 of 2, not 2 of 2');
    const path = written(readFileSync(alone), 'other-name.gguf');
    expect(() => inspectModel(path)).toThrow('is a part of 2, but its name does not end in');
  });

  it.each<[string, GgufParts, string]>([
    [
      'another architecture',
      withFields(parts, { 'general.architecture': ['text', 'rwkv6'] }),
      'general.architecture rwkv6 is not implemented in GGUF (llama, ',
    ],
    ['an adapter', withFields(parts, { 'general.type': ['text', 'adapter'] }), 'general.type is adapter'],
    [
      'a key nobody knows',
      withFields(parts, { 'llama.swin_norm': ['bool', true] }),
      'llama.swin_norm is not a key',
    ],
    [
      'heads that differ by layer',
      withFields(parts, { 'llama.attention.head_count': ['i32s', [4, 4, 2]] }),
      'llama.attention.head_count differs from layer to layer',
    ],
    [
      'values of another width than keys',
      withFields(parts, { 'llama.attention.value_length': ['u32', 8] }),
      'llama.attention.value_length is implemented as 16',
    ],
    [
      'a rope of part of the head',
      withFields(parts, { 'llama.rope.dimension_count': ['u32', 8] }),
      'llama.rope.dimension_count is implemented as the whole head',
    ],
    [
      'another scaling',
      withFields(parts, { 'llama.rope.scaling.type': ['text', 'alibi'] }),
      'llama.rope.scaling.type alibi is not implemented',
    ],
    [
      'no layers',
      withFields(parts, { 'llama.block_count': ['u32', 0] }),
      'num_hidden_layers must be an integer of at least 1',
    ],
    [
      'a count beyond reason',
      withFields(parts, { 'llama.block_count': ['f32', 1e30] }),
      'llama.block_count must be an integer',
    ],
    [
      'a tensor less',
      without(parts, 'blk.1.ffn_up.weight'),
      'has no tensor model.layers.1.mlp.up_proj.weight',
    ],
    [
      'a tensor more',
      {
        ...parts,
        tensors: [...parts.tensors, { name: 'blk.0.ssm_a', shape: [1], type: 'F32', data: Buffer.alloc(4) }],
      },
      'tensor blk.0.ssm_a is not known in the architecture llama',
    ],
  ])('of %s is refused by name', (_, changed, message) => {
    expect(() => inspectModel(fileOf(changed))).toThrow(message);
  });

  it('that is cut short is refused before anything is loaded', async () => {
    const whole = ggufFile(parts.fields, parts.tensors);
    for (const size of [3, 20, 400, whole.length / 2, whole.length - 40]) {
      const path = written(whole.subarray(0, size));
      expect(() => inspectModel(path)).toThrow(/GGUF|ends within|beyond the end|too small/);
      await expect(open(path)).rejects.toThrow(path);
    }
  });

  it('of each quantized fixture is complete', () => {
    expect(
      readdirSync(join(GOLDEN, 'gguf')).filter((name) =>
        existsSync(join(GOLDEN, 'gguf', name, 'model.gguf')),
      ),
    ).toEqual(QUANTIZED.toSorted());
  });
});
