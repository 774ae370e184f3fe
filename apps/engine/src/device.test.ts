import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { inspectModel as inspectNative, openModel as openNative, probeCuda } from '#native-engine/load.js';
import { parseSettings } from '#runtime/settings.js';
import { InferenceEngine } from '#serving/loop/inference-engine.js';
import { openModel } from '#serving/model-opening.js';
import { servingSettings } from '#serving/settings.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { generateRequest, idsOf } from '../../../test/support/generate-request.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../../../test/support/golden.js';
import { storePlainLora } from '../../../test/support/plain-lora.js';
import { collect } from '../../../test/support/serving-fixture.js';
import { ROOT } from '../../../test/support/stack.js';

/** Built with the native tests: a driver whose device is simulated. */
const SIMULATED = join(ROOT, 'build/native/libcuda_sim.so');
const golden = loadGolden('cases/llama-gqa');
const ADAPTERS = ['qv-r8', 'all-r16-bf16', 'rslora-r4'];
const TOKENS = 4;

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-device-'));
const engines: InferenceEngine[] = [];

const settingsOf = (env: Readonly<Record<string, string>>) =>
  parseSettings(servingSettings, {
    MODEL_PATH: golden.modelPath,
    THREADS: '1',
    KV_CACHE_BYTES: '1M',
    MAX_STEP_TOKENS: '64',
    MAX_SEQUENCES: '8',
    ...env,
  });
const opened = (env: Readonly<Record<string, string>>) =>
  openModel({ settings: settingsOf(env), inspectNative, openNative, probeCuda, digestCachePath: undefined });

interface Asked {
  readonly runs?: readonly GoldenRun[];
  readonly onDeviceLost?: (error: unknown) => void;
}

/** The first greedy tokens of golden runs, by default of the base and of some adapters, all in one batch. */
async function answers(
  env: Readonly<Record<string, string>>,
  { runs = RUNS, onDeviceLost }: Asked = {},
): Promise<number[][]> {
  const model = await opened(env);
  const blobs = await FileBlobStore.open(join(folder, 'blobs'));
  const logger = pino({ level: 'silent' });
  const options = { model, settings: settingsOf(env), blobs, registry: new Registry(), logger };
  const engine = new InferenceEngine({ ...options, ...(onDeviceLost && { onDeviceLost }) });
  engines.push(engine);
  return await Promise.all(
    runs.map(async ({ prompt, adapter }) => {
      const stored =
        adapter === null
          ? undefined
          : await storePlainLora(blobs, join(golden.folder, 'adapters', adapter), model.base.digest);
      const body = generateRequest(
        { kind: 'tokens', tokens: [...(golden.prompts[prompt] ?? [])] },
        { ignoreEos: true, maxTokens: TOKENS, ...(stored && { adapter: stored }) },
      );
      return idsOf(await collect(await engine.generate(body, new AbortController().signal)));
    }),
  );
}
const RUNS = golden.runs.filter(
  ({ prompt, adapter }) => prompt < 2 && (adapter === null || ADAPTERS.includes(adapter)),
);

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const engine of engines.splice(0)) await engine.close(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a machine without an NVIDIA driver', () => {
  it('serves on the CPU by auto, says why, and refuses cuda with the same reason', async () => {
    vi.stubEnv('LORIKEET_CUDA_DRIVER', '/nowhere/libcuda.so.1');
    const model = await opened({ DEVICE: 'auto' });
    await model.native.close();
    expect(model.native.description.device).toMatch(/^cpu /);
    expect(model.deviceReason).toMatch(/there is no NVIDIA driver/);
    await expect(opened({ DEVICE: 'cuda' })).rejects.toThrow(/^DEVICE=cuda: there is no NVIDIA driver/);
  });
});

describe.runIf(existsSync(SIMULATED))('a CUDA device (simulated)', () => {
  it('is taken by auto, and one that does not suffice is told', async () => {
    vi.stubEnv('LORIKEET_CUDA_DRIVER', SIMULATED);
    const model = await opened({ DEVICE: 'auto' });
    await model.native.close();
    expect(model.native.description.device).toBe('cuda:0 PTX simulator 9.0');
    expect(model.deviceReason).toBeUndefined();
    await expect(opened({ DEVICE: 'cuda:2' })).rejects.toThrow(/no device cuda:2: the driver sees 1 device/);
    vi.stubEnv('LORIKEET_SIM_CAPABILITY', '75');
    await expect(opened({ DEVICE: 'cuda' })).rejects.toThrow(/compute capability 7.5, and 8.0 or later/);
  });

  it('leaves to the CPU, by auto, what it has no memory for', async () => {
    vi.stubEnv('LORIKEET_CUDA_DRIVER', SIMULATED);
    vi.stubEnv('LORIKEET_SIM_MEMORY_BYTES', '1048576');
    const model = await opened({ DEVICE: 'auto' });
    await model.native.close();
    expect(model.native.description.device).toMatch(/^cpu /);
    expect(model.deviceReason).toMatch(/out of memory/);
    await expect(opened({ DEVICE: 'cuda' })).rejects.toThrow(/MiB for .* left/);
  });

  it("gives the golden model's tokens, with adapters in one batch", async () => {
    vi.stubEnv('LORIKEET_CUDA_DRIVER', SIMULATED);
    for (const [i, ids] of (await answers({ DEVICE: 'cuda' })).entries()) {
      const run = RUNS[i];
      const count = run === undefined ? 0 : Math.min(TOKENS, comparableTokens(run));
      expect(ids.slice(0, count)).toEqual(run?.greedy_ids.slice(0, count));
    }
  }, 60_000);

  it('gives the tokens of the CPU where weights are int4', async () => {
    vi.stubEnv('LORIKEET_CUDA_DRIVER', SIMULATED);
    const env = { QUANTIZATION: 'int4' };
    expect(await answers({ ...env, DEVICE: 'cuda' })).toEqual(await answers({ ...env, DEVICE: 'cpu' }));
  }, 60_000);

  it.each([
    ['fails', 'LORIKEET_SIM_FAIL_LAUNCH'],
    ['never ends a step', 'LORIKEET_SIM_HANG_LAUNCH'],
  ])('that %s ends what runs with an error and says so, for the process to end', async (_, fault) => {
    vi.stubEnv('LORIKEET_CUDA_DRIVER', SIMULATED);
    vi.stubEnv(fault, '5');
    const onDeviceLost = vi.fn<(error: unknown) => void>();
    const runs = RUNS.filter(({ adapter }) => adapter === null);
    const env = { DEVICE: 'cuda', STEP_DEADLINE_S: '1' };
    // Each ends with an error event.
    expect(await answers(env, { runs, onDeviceLost })).toEqual(runs.map(() => []));
    expect(onDeviceLost).toHaveBeenCalledWith(expect.objectContaining({ kind: 'device_lost' }));
  });
});
