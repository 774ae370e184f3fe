import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, makeTenant, type VersionBody } from '../support/client.js';
import { comparableTokens, loadGolden } from '../support/golden.js';
import { freePort, ROOT, type Stack, startStack } from '../support/stack.js';

/* The product on the simulated NVIDIA driver, with a model that is small enough for it. */

const SIMULATED = join(ROOT, 'build/native/libcuda_sim.so');
const NO_DRIVER = '/nowhere/libcuda.so.1';
const golden = loadGolden('cases/llama-gqa');
const ADAPTERS = ['qv-r8', 'rslora-r4', 'dora-r8'];
const TOKENS = 4;
const RUNS = golden.runs.filter(
  ({ prompt, adapter }) => prompt < 2 && (adapter === null || ADAPTERS.includes(adapter)),
);

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-cuda-'));
const faultFile = join(folder, 'fault');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tiny = {
  MODEL_PATH: golden.modelPath,
  MODEL_NAME: 'tiny',
  THREADS: '1',
  KV_CACHE_BYTES: '1M',
  MAX_STEP_TOKENS: '64',
  // Fewer than ask at once below: others wait.
  MAX_SEQUENCES: '4',
};
const simulated = {
  ...tiny,
  DEVICE: 'cuda',
  LORIKEET_CUDA_DRIVER: SIMULATED,
  LORIKEET_SIM_RACES: 'off',
  LORIKEET_SIM_FAULT_FILE: faultFile,
  STEP_DEADLINE_S: '1',
};

interface Engine {
  readonly name: string;
  readonly state: string;
  readonly device: string;
  readonly device_reason: string | null;
  readonly started_at: string | null;
  readonly load: { readonly running_requests: number; readonly waiting_requests: number };
}
interface Completion {
  readonly system_fingerprint: string;
  readonly choices: readonly { readonly token_ids: readonly number[] }[];
}

const enginesOf = async ({ url, adminKey }: Stack): Promise<readonly Engine[]> =>
  (await new Client(url, adminKey).expect<{ data: Engine[] }>(200, 'GET', '/v1/admin/engines')).data;

const completion = (model: string, prompt: number, further: object = {}) => ({
  model,
  prompt: [golden.prompts[prompt]],
  temperature: 0,
  max_tokens: TOKENS,
  ignore_eos: true,
  return_token_ids: true,
  ...further,
});

/** All golden runs at once, each in its adapter. */
async function expectGolden(tenant: Client): Promise<void> {
  const answers = await Promise.all(
    RUNS.map(({ prompt, adapter }) =>
      tenant.expect<Completion>(200, 'POST', '/v1/completions', completion(adapter ?? 'tiny', prompt)),
    ),
  );
  for (const [i, run] of RUNS.entries()) {
    const count = Math.min(TOKENS, comparableTokens(run));
    expect(answers[i]?.choices[0]?.token_ids.slice(0, count)).toEqual(run.greedy_ids.slice(0, count));
  }
}

async function uploadAll(tenant: Client): Promise<void> {
  const uploads = ADAPTERS.map((name) =>
    tenant.uploadFolder(name, join(golden.folder, 'adapters', name), 120),
  );
  for (const { status, body } of await Promise.all(uploads))
    expect({ status, state: body.state, report: body.state === 'ready' ? null : body.report }).toEqual({
      status: 201,
      state: 'ready',
      report: null,
    });
}

describe('a machine without an NVIDIA driver', () => {
  it('is served by the CPU, and the operator is told why', async () => {
    const stack = await startStack({ env: { ...tiny, DEVICE: 'auto', LORIKEET_CUDA_DRIVER: NO_DRIVER } });
    try {
      const [engine] = await enginesOf(stack);
      expect(engine?.device).toMatch(/^cpu /);
      expect(engine?.device_reason).toContain('there is no NVIDIA driver');
      expect(stack.output()).toContain('DEVICE=auto takes the CPU: there is no NVIDIA driver');
      const log = readFileSync(join(stack.dataDir, 'logs/engine.log'), 'utf8');
      expect(log).toContain('DEVICE=auto takes the CPU: there is no NVIDIA driver');
    } finally {
      await stack.stop();
    }
  });

  it.each([
    ['DEVICE', 'cuda', 'cannot be served:\n  DEVICE=cuda: there is no NVIDIA driver'],
    ['DEVICES', 'all', 'DEVICES=all: there is no NVIDIA driver'],
  ])('refuses %s=%s with the same reason', async (variable, value, reason) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/start.mjs')], {
      cwd: ROOT,
      env: {
        ...process.env,
        ...tiny,
        [variable]: value,
        LORIKEET_CUDA_DRIVER: NO_DRIVER,
        PORT: String(await freePort()),
        DATA_DIR: join(folder, 'refused'),
      },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect({ status, said: stdout + stderr }).toEqual({ status: 1, said: expect.stringContaining(reason) });
  });
});

describe.runIf(existsSync(SIMULATED))('npm start on a CUDA device (simulated)', () => {
  let stack: Stack;
  let tenant: Client;

  beforeAll(async () => {
    stack = await startStack({ env: simulated });
    tenant = await makeTenant(stack.url, stack.adminKey, 'cuda-tests');
  });
  afterAll(() => stack?.stop());

  const restarts = () => stack.output().split('engine ended with exit code 70; starting it again').length - 1;
  const startedAt = async () => (await enginesOf(stack))[0]?.started_at;
  /** After what `act` does the engine has ended, and another process serves. */
  const restarted = async (act: () => Promise<void>): Promise<void> => {
    const [before, ended] = [await startedAt(), restarts()];
    await act();
    await expect
      .poll(async () => (await enginesOf(stack))[0], { timeout: 60_000 })
      .toMatchObject({ state: 'ready', started_at: expect.not.stringMatching(`^${before}$`) });
    expect(restarts()).toBe(ended + 1);
  };

  it('says so, validates uploads and answers base and adapters in one batch as Transformers and PEFT do', async () => {
    expect(await enginesOf(stack)).toMatchObject([
      { device: 'cuda:0 PTX simulator 9.0', device_reason: null, state: 'ready' },
    ]);
    await uploadAll(tenant);
    await expectGolden(tenant);
  });

  it.each(['fail', 'hang'])(
    'ends with code 70 when a step\'s kernel does "%s", tells everyone, blames no version, and answers again',
    async (fault) => {
      const canary = `canary-${fault}`;
      const routes = async () =>
        await tenant.expect<{ routes: { version: number }[]; guard: object | null }>(
          200,
          'GET',
          `/v1/adapters/${canary}/aliases/guarded`,
        );
      for (const name of ['qv-r8', 'rslora-r4']) {
        const { body } = await tenant.uploadFolder(canary, join(golden.folder, 'adapters', name), 120);
        expect((body as VersionBody).state).toBe('ready');
      }
      const alias = `/v1/adapters/${canary}/aliases/guarded`;
      await tenant.expect(200, 'PUT', alias, { routes: [{ version: 1 }] });
      const guard = { max_error_rate: 0.01, min_requests: 1, window_s: 600 };
      await tenant.expect(200, 'PUT', alias, { routes: [{ version: 2 }], guard });

      const long = completion(`${canary}:guarded`, 0, { max_tokens: 120 });
      const streamed = await fetch(`${stack.url}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...long, stream: true }),
      });
      expect(streamed.status).toBe(200);
      await restarted(async () => {
        const whole = streamed.text();
        const others = Array.from({ length: 8 }, () => tenant.call<object>('POST', '/v1/completions', long));
        await expect
          .poll(async () => (await enginesOf(stack))[0]?.load.waiting_requests, { interval: 20 })
          .toBeGreaterThan(0);
        writeFileSync(faultFile, fault);

        const events = (await whole).split('\n\n').filter((event) => event.startsWith('data: '));
        expect(events.length).toBeGreaterThan(1);
        const last = events.filter((event) => event !== 'data: [DONE]').at(-1) ?? '';
        expect(JSON.parse(last.slice('data: '.length))).toMatchObject({
          error: { code: 'engine_unavailable' },
        });
        for (const { status, headers, body } of await Promise.all(others)) {
          expect({ status, body }).toMatchObject({
            status: 503,
            body: { error: { code: 'engine_unavailable' } },
          });
          expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
        }
      });
      await expectGolden(tenant);
      expect(await routes()).toMatchObject({ routes: [{ version: 2 }], guard: { versions: [2] } });
    },
  );

  it('ends as well when a load finds the device lost, and loads again in the next process', async () => {
    const lose = async (model: string): Promise<void> => {
      writeFileSync(faultFile, 'fail');
      const answer = await tenant.call('POST', '/v1/completions', completion(model, 0));
      expect(answer).toMatchObject({ status: 503, body: { error: { code: 'engine_unavailable' } } });
    };
    await restarted(() => lose('tiny'));
    // Nothing is resident now, and this adapter's load launches kernels.
    await restarted(() => lose('dora-r8'));
    await expectGolden(tenant);
  });
});

describe.runIf(existsSync(SIMULATED))('DEVICES=all (simulated)', () => {
  it('starts an engine for each device that may be seen, and requests go to all of them', async () => {
    const { DEVICE: _, ...env } = simulated;
    const stack = await startStack({
      env: { ...env, DEVICES: 'all', LORIKEET_SIM_DEVICES: '3', CUDA_VISIBLE_DEVICES: '2,GPU-00000000,7' },
    });
    try {
      const engines = await enginesOf(stack);
      expect(engines).toMatchObject([
        { name: 'cuda-0', device: 'cuda:0 PTX simulator 9.0', state: 'ready' },
        { name: 'cuda-1', device: 'cuda:0 PTX simulator 9.0', state: 'ready' },
      ]);
      expect(stack.output()).toContain('DEVICES=all leaves out 7: the NVIDIA driver finds no device');
      const tenant = await makeTenant(stack.url, stack.adminKey, 'cuda-tests');
      const answers = await Promise.all(
        Array.from({ length: 8 }, () =>
          tenant.expect<Completion>(200, 'POST', '/v1/completions', completion('tiny', 0)),
        ),
      );
      expect(new Set(answers.map(({ choices }) => choices[0]?.token_ids.join())).size).toBe(1);
      const served = answers.map(({ system_fingerprint: name }) => /cuda-\d/.exec(name)?.[0]);
      expect([...new Set(served)].toSorted()).toEqual(['cuda-0', 'cuda-1']);
    } finally {
      await stack.stop();
    }
  });
});
