import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { lorikeet } from '../support/cli.js';
import { Client, makeTenant } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { type Stack, startStack } from '../support/stack.js';

const OLD = join(goldenFolder('llama-gqa'), 'model');
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-bases-'));
const dataDir = join(folder, 'data');
let stack: Stack | undefined;
afterAll(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The same network with another epsilon: other numbers from the same adapter. */
function otherBase(): string {
  const path = join(folder, 'next');
  cpSync(OLD, path, { recursive: true });
  const config = join(path, 'config.json');
  const read = JSON.parse(readFileSync(config, 'utf8')) as { rms_norm_eps: number };
  writeFileSync(config, JSON.stringify({ ...read, rms_norm_eps: read.rms_norm_eps * 1000 }));
  return path;
}

async function start(modelPath: string): Promise<Stack> {
  await stack?.stop({ keepData: true });
  const env = { MODEL_PATH: modelPath, MODEL_NAME: 'base', PARITY_CHECK: 'on' };
  stack = await startStack({ dataDir, env });
  return stack;
}

async function logprobsOf(client: Client, model: string): Promise<unknown> {
  const body = { model, prompt: [5, 6, 7], max_tokens: 4, temperature: 0, logprobs: 1 };
  const answer = await client.expect<{ choices: { logprobs: { token_logprobs: number[] } }[] }>(
    200,
    'POST',
    '/v1/completions',
    body,
  );
  return answer.choices[0]?.logprobs.token_logprobs;
}

/** One adapter answers as its prompts expect, the other as none could; both give the same tokens, by the real engine. */
async function moved(client: Client, env: Record<string, string>): Promise<void> {
  const prompts = (expected: string) => ({ prompts: [{ prompt: 'a b', expected, match: 'contains' }] });
  await client.expect(200, 'PUT', '/v1/evaluation-sets/any', prompts(''));
  await client.expect(200, 'PUT', '/v1/evaluation-sets/never', prompts('no token of this model says that'));
  const move = (...words: string[]) =>
    lorikeet(['moves', 'start', ...words, '--wait', '--tenant', 'acme'], { env });
  expect(await move('judged', '--set', 'any')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/judged@1 +latest +ready +passed +1\/1 +promoted/) as string,
  });
  expect(await move('failing', '--set', 'never')).toMatchObject({
    code: 1,
    out: expect.stringMatching(/failing@1 +latest +ready +passed +0\/1 +left +0 of 1 prompts/) as string,
  });
  expect(await logprobsOf(client, 'judged')).toHaveLength(4);
}

it('serves stored versions on another base once they are validated, and on the old one again without', async () => {
  const first = await start(OLD);
  expect(first.output()).not.toContain('made for another base');
  const { key } = await makeTenant(first.url, first.adminKey, 'acme');
  const files = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');
  const uploaded = await new Client(first.url, key).uploadFolder('bot', files);
  expect(uploaded.body.state).toBe('ready');
  const onOld = await logprobsOf(new Client(first.url, key), 'bot');
  for (const name of ['judged', 'failing'])
    expect((await new Client(first.url, key).uploadFolder(name, files)).body.state).toBe('ready');

  const second = await start(otherBase());
  expect(second.output()).toContain('3 stored versions were made for another base model');
  expect(second.output()).toContain('lorikeet revalidate --all --wait');
  const client = new Client(second.url, key);
  expect(await client.call('POST', '/v1/completions', { model: 'bot', prompt: 'x' })).toMatchObject({
    status: 409,
  });
  const env = { LORIKEET_URL: second.url, LORIKEET_API_KEY: second.adminKey };
  await moved(client, env);
  expect(await lorikeet(['revalidate', '--all', '--wait'], { env })).toMatchObject({
    code: 0,
    out: 'base: 2 answer, 0 are being validated, 1 are held back by a move, 0 were rejected\n',
  });
  expect(await client.call('POST', '/v1/completions', { model: 'failing', prompt: 'x' })).toMatchObject({
    status: 409,
  });
  const onNew = await logprobsOf(client, 'bot');
  expect(onNew).not.toEqual(onOld);

  const third = await start(OLD);
  expect(third.output()).not.toContain('made for another base');
  expect(await logprobsOf(new Client(third.url, key), 'bot')).toEqual(onOld);
}, 300_000);
