import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Client, makeTenant } from '../support/client.js';
import { demoIndex } from '../support/demo.js';
import { goldenFolder } from '../support/golden-base.js';
import { ROOT, type Stack, type StackOptions, startStack } from '../support/stack.js';

/** The product on a CUDA device: the driver is simulated, everything above it is what runs on a card. */
const SIMULATED = join(ROOT, 'build/native/libcuda_sim.so');
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-cuda-'));
const faultFile = join(folder, 'fault');

let stack: Stack | undefined;
afterEach(async () => {
  await stack?.stop();
  stack = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function startOnDevice(env: StackOptions['env'] = {}): Promise<Stack> {
  const device = { DEVICE: 'cuda', LORIKEET_CUDA_DRIVER: SIMULATED, LORIKEET_SIM_RACES: 'off' };
  stack = await startStack({ env: { ...device, LORIKEET_SIM_FAULT_FILE: faultFile, ...env } });
  return stack;
}

const deviceOf = async ({ url, adminKey }: Stack): Promise<unknown> => {
  const { data } = await new Client(url, adminKey).expect<{ data: { status: { device: string } }[] }>(
    200,
    'GET',
    '/v1/admin/engines',
  );
  return data;
};

interface Completion {
  readonly choices: readonly { readonly token_ids: readonly number[] }[];
}
interface Alias {
  readonly routes: readonly { readonly version: number }[];
  readonly guard: object | null;
}

describe.runIf(existsSync(SIMULATED))('on a CUDA device (simulated)', () => {
  it('npm start answers the printed examples, all adapters and the base at once', async () => {
    const { url, dataDir } = await startOnDevice();
    expect(JSON.stringify(await deviceOf(stack as Stack))).toContain('cuda:0 PTX simulator');
    const tenant = new Client(url, readFileSync(join(dataDir, 'demo-key'), 'utf8').trim());
    const answers = await Promise.all(
      demoIndex().adapters.map(async ({ name, example }) => {
        const body = { model: name, messages: example.messages, temperature: 0, max_tokens: 80 };
        const { choices } = await tenant.expect<{ choices: { message: { content: string } }[] }>(
          200,
          'POST',
          '/v1/chat/completions',
          body,
        );
        return choices[0]?.message.content;
      }),
    );
    expect(answers).toEqual(demoIndex().adapters.map(({ example }) => example.expected));
  }, 600_000);

  it.each(['fail', 'hang'])(
    'a device that is lost (%s) ends streams with an error and the engine, and a new one answers the same',
    async (fault) => {
      const model = join(goldenFolder('llama-gqa'), 'model');
      const { url, adminKey, output } = await startOnDevice({
        MODEL_PATH: model,
        MODEL_NAME: 'base',
        MAX_SEQUENCES: '1',
        STEP_DEADLINE_S: '2',
      });
      const client = await makeTenant(url, adminKey, 'acme');
      for (const adapter of ['qv-r8', 'all-r16-bf16'])
        await client.uploadFolder('bot', join(goldenFolder('llama-gqa'), 'adapters', adapter));
      const alias = '/v1/adapters/bot/aliases/guarded';
      await client.expect(200, 'PUT', alias, { routes: [{ version: 1 }] });
      const guard = { max_error_rate: 0.1, min_requests: 1, window_s: 300 };
      await client.expect(200, 'PUT', alias, { routes: [{ version: 2 }], guard });

      const body = { model: 'bot:guarded', prompt: [5, 6, 7], max_tokens: 4, temperature: 0 };
      const ask = () =>
        client.call<Completion>('POST', '/v1/completions', { ...body, return_token_ids: true });
      const before = await ask();
      expect(before.status).toBe(200);

      // One computes, the others wait for its place.
      const long = { ...body, max_tokens: 400, ignore_eos: true, stream: true };
      const stream = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${client.key}`, 'content-type': 'application/json' },
        body: JSON.stringify(long),
      });
      const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
      let told = Buffer.from((await reader.read()).value ?? []).toString();
      const waiting = [ask(), ask()];
      writeFileSync(faultFile, fault);
      for (let next = await reader.read(); !next.done; next = await reader.read())
        told += Buffer.from(next.value).toString();
      expect(told).toContain('"engine_unavailable"');
      for (const { status, headers } of await Promise.all(waiting)) {
        expect(status).toBe(503);
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      }

      await expect.poll(output).toContain('ended with exit code 70; starting it again');
      await expect.poll(async () => (await ask()).status).toBe(200);
      expect((await ask()).body.choices[0]?.token_ids).toEqual(before.body.choices[0]?.token_ids);
      // Three requests failed; none of them speaks against the version.
      const after = await client.expect<Alias>(200, 'GET', alias);
      expect(after.routes.map(({ version }) => version)).toEqual([2]);
      expect(after.guard).not.toBeNull();
    },
  );
});
