import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadGolden } from '../../../test/support/golden.js';
import { handManifest } from '../../../test/support/hand-manifest.js';
import { type DriverLimits, StepDriver } from '../../../test/support/step-driver.js';
import { openModel } from './load.js';
import type { NativeModel, OpenOptions, StepPlan } from './native.js';
import { NEUTRAL_COLUMNS } from './sample-columns.js';

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 128, maxSequences: 8, maxContext: 256 };
const golden = loadGolden('cases/llama-gqa');
const prompt = golden.prompts[2] as readonly number[];
const spec = handManifest(`${golden.folder}/adapters/qv-r8`, 2);
const options: OpenOptions = {
  modelPath: golden.modelPath,
  backend: 'reference', // slow enough that a step is still running when the test looks
  threads: 1,
  quantization: 'none',
  maxStepTokens: LIMITS.maxStepTokens,
  maxSequences: LIMITS.maxSequences,
  kv: { bytes: 1 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
};

describe('opening', () => {
  const refused: readonly (readonly [string, unknown, RegExp])[] = [
    ['no options', undefined, /options must be an object/],
    ['an unknown backend', { ...options, backend: 'tpu' }, /backend must be one of cpu, reference/],
    ['an unknown quantization', { ...options, quantization: 'int3' }, /quantization must be one of/],
    ['a fraction of a thread', { ...options, threads: 0.5 }, /threads must be a whole number/],
    ['no cache settings', { ...options, kv: undefined }, /kv must be an object/],
    ['a cache below one page', { ...options, kv: { ...options.kv, bytes: 10 } }, /one page needs/],
    ['a folder without a model', { ...options, modelPath: '/nonexistent' }, /cannot open \/nonexistent/],
  ];
  it.each(refused)('refuses %s with the reason', async (_, given, reason) => {
    await expect(openModel(given as OpenOptions)).rejects.toThrow(reason);
  });
});

describe('an open model', () => {
  let model: NativeModel;
  let driver: StepDriver;
  beforeAll(async () => {
    model = await openModel(options);
    driver = new StepDriver(model, LIMITS);
  });
  afterAll(() => model?.close());

  const fill = (adapter?: number): StepPlan => {
    const sequence = driver.sequence(prompt, adapter);
    driver.write([driver.advance(sequence)]);
    driver.release(sequence);
    return driver.plan;
  };

  it('refuses a second step while one runs', async () => {
    const running = model.step(fill());
    await expect(model.step(driver.plan)).rejects.toThrow(/already running/);
    expect((await running).native_ms).toBeGreaterThan(0);
    await expect(model.step(driver.plan)).resolves.toBeDefined();
  });

  it('lets the event loop turn while a step runs', async () => {
    // A blocked loop would see its timer once a step, at the end. On a busy machine one step may see it as rarely.
    let turns = 0;
    for (let i = 0; i < 200 && turns < 2; i++) {
      turns = 0;
      const timer = setInterval(() => turns++, 1);
      await model.step(fill());
      clearInterval(timer);
    }
    expect(turns).toBeGreaterThan(1);
  });

  it('takes the plan when step is called, so that the host may refill it at once', async () => {
    const expected = await model
      .step(fill())
      .then(() => [driver.plan.outToken[0], driver.plan.outLogprob[0]]);
    const running = model.step(fill());
    driver.plan.token.fill(-1);
    driver.plan.kvSlot.fill(-1);
    driver.plan.sampleInt.fill(99);
    await running;
    expect([driver.plan.outToken[0], driver.plan.outLogprob[0]]).toEqual(expected);
  });

  it('rejects a broken plan with what is broken, and goes on', async () => {
    const broken: readonly (readonly [(plan: StepPlan) => unknown, RegExp])[] = [
      [(plan) => (plan.rows = 1000), /rows must be a whole number from 1 to 128/],
      [(plan) => (plan.sequences = -1), /sequences/],
      [(plan) => (plan.pageTableStride = 4000), /pageTable must be at least 4000 elements long/],
      [(plan) => (plan.token[3] = 512), /token\[3\] is outside the vocabulary/],
      [(plan) => (plan.kvSlot[3] = 5), /kvSlot\[3\]/],
      [(plan) => (plan.kvLength[0] = 1_000_000), /kvLength\[0\]/],
      [(plan) => (plan.historyStart[1] = 1_000_000), /historyToken must be at least/],
      [(plan) => (plan.biasStart[1] = -5), /biasStart/],
      [
        (plan) => (plan.listedStart[1] = 21),
        /sample 0: lists more than 20 tokens|listedToken must be at least/,
      ],
    ];
    for (const [spoil, reason] of broken) {
      const plan = fill();
      spoil(plan);
      await expect(model.step(plan)).rejects.toThrow(reason);
      plan.pageTableStride = Math.ceil(LIMITS.maxContext / LIMITS.pageTokens);
    }
    await expect(
      model.step({ ...fill(), token: new Float32Array(200) } as unknown as StepPlan),
    ).rejects.toThrow(/token must be a typed array of its declared element type/);
    await expect(model.step(undefined as unknown as StepPlan)).rejects.toThrow(/plan must be an object/);
    const plan = fill();
    plan.segment.set([0, plan.rows, 12345]);
    plan.segments = 1;
    await expect(model.step(plan)).rejects.toThrow(/no adapter has handle 12345/);
    await expect(model.step(fill())).resolves.toBeDefined();
  });

  it('survives any corrupt plan', async () => {
    const value = fc.oneof(fc.constantFrom(-1, 0, 1, 16, 127, 128, 2 ** 31 - 1, -(2 ** 31)), fc.integer());
    const edit = fc.record({ key: fc.nat(), index: fc.nat(200), value, wrongType: fc.nat(9) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        const plan = { ...fill() } as Record<string, unknown>;
        const keys = Object.keys(plan).filter((key) => !key.startsWith('out'));
        for (const { key: at, index, value, wrongType } of edits) {
          const key = keys[at % keys.length] as string;
          const field = plan[key];
          if (wrongType === 0) plan[key] = String(value);
          else if (field instanceof Int32Array) {
            plan[key] = field.slice(wrongType === 1 ? index : 0).fill(value, index, index + 1);
          } else if (field instanceof Float32Array)
            plan[key] = field.slice().fill(value / 3, index, index + 1);
          else if (typeof field === 'number') plan[key] = value;
        }
        const fault = await model.step(plan as unknown as StepPlan).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(fault === undefined || fault instanceof Error).toBe(true);
      }),
      { numRuns: 200, seed: 1 },
    );
    await expect(model.step(fill())).resolves.toBeDefined();
  });

  it('rejects when the out arrays shrank under a running step', async () => {
    const plan = { ...fill(), outToken: new Int32Array(1) };
    const running = model.step(plan);
    structuredClone(plan.outToken.buffer, { transfer: [plan.outToken.buffer] });
    await expect(running).rejects.toThrow(/outToken/);
  });

  it('accounts an adapter to the byte, and a dropped one is gone', async () => {
    const before = model.memory();
    const first = await model.loadAdapter(spec);
    const second = await model.loadAdapter(spec);
    expect(first.bytes).toBeGreaterThanOrEqual(6 * (8 * 64 + 8 * 48) * 4); // q and v of three layers, rank 8
    expect(second.handle).not.toBe(first.handle);
    expect(model.memory().adapterBytes).toBe(before.adapterBytes + first.bytes + second.bytes);
    model.dropAdapter(first.handle);
    model.dropAdapter(second.handle);
    expect(model.memory()).toEqual(before);
    expect(() => model.dropAdapter(first.handle)).toThrow(/no adapter has handle/);
  });

  it('refuses to drop an adapter that the running step uses, then drops it', async () => {
    // On a busy machine a step may have ended before this thread looks: then the drop is right to succeed.
    let refusal: unknown;
    for (let i = 0; i < 200 && refusal === undefined; i++) {
      const { handle } = await model.loadAdapter(spec);
      const running = model.step(fill(handle));
      try {
        model.dropAdapter(handle);
      } catch (error) {
        refusal = error;
      }
      await running;
      if (refusal !== undefined) model.dropAdapter(handle);
    }
    expect(refusal).toMatchObject({ message: expect.stringMatching(/running step/) });
    expect(model.memory().adapterBytes).toBe(0);
  });

  it('loads an adapter while a step runs', async () => {
    const running = model.step(fill());
    const { handle } = await model.loadAdapter(spec);
    await expect(running).resolves.toBeDefined();
    model.dropAdapter(handle);
  });

  it('refuses an adapter that does not fit, with the module or tensor at fault', async () => {
    const [first] = spec.modules;
    await expect(
      model.loadAdapter({ ...spec, modules: [{ ...first, module: 'model.layers.9.x' }] } as typeof spec),
    ).rejects.toThrow(/no module model\.layers\.9\.x/);
    await expect(model.loadAdapter({ ...spec, weightsPath: '/nonexistent' })).rejects.toThrow(/cannot open/);
    await expect(model.loadAdapter({ ...spec, modules: 'all' } as unknown as typeof spec)).rejects.toThrow(
      /modules must be an array/,
    );
    expect(model.memory().adapterBytes).toBe(0);
  });

  it('refuses a step that copies pages which do not exist, or one of them twice', async () => {
    const copying = (from: readonly number[], to: readonly number[]): StepPlan => {
      const plan = fill();
      plan.copies = from.length;
      plan.copyFrom.set(from);
      plan.copyTo.set(to);
      return plan;
    };
    await expect(model.step(copying([0], [100_000]))).rejects.toThrow(/copyTo\[0\] is no page/);
    await expect(model.step(copying([0, 0], [3, 3]))).rejects.toThrow(/copied to twice/);
    await model.step(copying([4, 5], [6, 7]));
    driver.plan.copies = 0;
  });
});

describe('closing', () => {
  it('waits for the running step, whose promise still settles, and refuses everything after', async () => {
    const model = await openModel(options);
    const driver = new StepDriver(model, LIMITS);
    driver.write([driver.advance(driver.sequence(prompt))]);
    const order: string[] = [];
    const running = model.step(driver.plan).then(() => order.push('step'));
    const loading = model.loadAdapter(spec).then(() => order.push('adapter'));
    const closing = model.close().then(() => order.push('close'));
    await Promise.all([running, loading, closing, model.close()]);
    expect(order.at(-1)).toBe('close');
    expect(order.length).toBe(3);
    await model.close();
    await expect(model.step(driver.plan)).rejects.toThrow(/closed/);
    await expect(model.loadAdapter(spec)).rejects.toThrow(/closed/);
    expect(() => model.memory()).toThrow(/closed/);
  });
});

/* Each script runs in its own process: a crash in native would take the test runner along. */
describe('a process that ends with native work under way', () => {
  const addon = fileURLToPath(new URL('../../../build/native/lorikeet.node', import.meta.url));
  const prologue = `
    const { open } = require(${JSON.stringify(addon)});
    const base = ${JSON.stringify(options)};
    const rows = 128;
    const plan = () => ({ rows, sequences: 1, segments: 0, samples: 1, pageTableStride: 8,
      token: new Int32Array(rows).fill(7), position: Int32Array.from({ length: rows }, (_, i) => i),
      kvSlot: Int32Array.from({ length: rows }, (_, i) => i), qStart: Int32Array.of(0, rows),
      kvLength: Int32Array.of(rows), pageTable: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7), segment: new Int32Array(0), segmentScale: new Float32Array(0),
      sampleRow: Int32Array.of(rows - 1), sampleInt: Int32Array.of(${NEUTRAL_COLUMNS.ints.join()}),
      sampleFloat: Float32Array.of(${NEUTRAL_COLUMNS.floats.join()}), sampleSeed: new BigUint64Array(2),
      historyStart: new Int32Array(2), historyToken: new Int32Array(0), historyCount: new Int32Array(0),
      biasStart: new Int32Array(2), biasToken: new Int32Array(0), biasValue: new Float32Array(0),
      listedStart: new Int32Array(2), listedToken: new Int32Array(0), copies: 0, copyFrom: new Int32Array(0), copyTo: new Int32Array(0),
      outToken: new Int32Array(1), outFinite: new Uint8Array(1), outDrawn: new Uint8Array(1), outLogprob: new Float32Array(1),
      outTopCount: new Int32Array(1), outTopToken: new Int32Array(20), outTopLogprob: new Float32Array(20) });
  `;
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lorikeet-lifecycle-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  const run = async (script: string): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', prologue + script], {
      cwd: folder,
    });
    return stdout.trim();
  };

  it.each(['reference', 'cpu'])(
    'exits cleanly from process.exit in the middle of a step (%s)',
    async (backend) => {
      const script = `
      open({ ...base, backend: '${backend}' }).then((model) => {
        model.step(plan());
        console.log('exiting');
        process.exit(0);
      });`;
      expect(await run(script)).toBe('exiting');
    },
  );

  it('exits cleanly while the model is being opened', async () => {
    expect(await run("open(base); console.log('exiting'); setImmediate(() => process.exit(0));")).toBe(
      'exiting',
    );
  });

  it('stays alive until a pending step settles, then ends without close', async () => {
    const script = `
      open(base).then((model) => model.step(plan())).then(() => console.log('settled'));`;
    expect(await run(script)).toBe('settled');
  });

  it('frees a model that was dropped without close', async () => {
    const script = `
      require('node:v8').setFlagsFromString('--expose-gc');
      const gc = require('node:vm').runInNewContext('gc');
      (async () => {
        for (let i = 0; i < 8; i++) { await (await open(base)).step(plan()); gc(); await new Promise(setImmediate); }
        const threads = () => require('node:fs').readdirSync('/proc/self/task').length;
        for (let i = 0; i < 200 && threads() >= 20; i++) { gc(); await new Promise(setImmediate); }
        console.log(threads() < 20 ? 'freed' : 'leaked');
      })();`;
    expect(await run(script)).toBe('freed');
  });

  it.each(['reference', 'cpu'])(
    'survives a worker thread terminated in the middle of a step (%s)',
    async (backend) => {
      const script = `
      const { Worker } = require('node:worker_threads');
      const code = ${JSON.stringify(prologue)} + \`
        open({ ...base, backend: '${backend}' }).then((model) => {
          model.step(plan());
          model.loadAdapter({ weightsPath: '/nonexistent', modules: [] }).catch(() => {});
          require('node:worker_threads').parentPort.postMessage('stepping');
        });\`;
      (async () => {
        for (let i = 0; i < 5; i++) {
          const worker = new Worker(code, { eval: true });
          await new Promise((resolve) => worker.once('message', resolve));
          await worker.terminate();
        }
        const model = await open(base);
        await model.step(plan());
        await model.close();
        console.log('survived');
      })();`;
      expect(await run(script)).toBe('survived');
    },
  );
});
