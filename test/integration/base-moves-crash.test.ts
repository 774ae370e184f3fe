import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BaseMoveResource, MovedVersion } from '#contracts/base-moves-api.js';
import type { List } from '#contracts/resource.js';
import type { Client } from '../support/client.js';
import { answerText } from '../support/fake-answers.js';
import { goldenFolder } from '../support/golden-base.js';
import { NEXT_BASE } from '../support/next-base.js';
import { Platform } from '../support/platform.js';

/** Whoever was killed keeps its work for some fifteen seconds; then another process has to start and do it. */
const PATIENCE_MS = 240_000;

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  for (const name of ['a', 'b', 'c'])
    await acme.uploadFolder(name, join(goldenFolder('llama-gqa'), 'adapters/qv-r8'));
  await acme.expect(200, 'PUT', '/v1/evaluation-sets/smoke', {
    prompts: [{ prompt: 'x', expected: 'yes' }],
  });
  await platform.stopWorkers();
  platform.engine.status = { ...platform.engine.status, base: NEXT_BASE };
}, 120_000);
afterAll(() => platform?.close());

it('goes on after the worker is killed, in its checks and in its evaluations, and decides each version once', {
  timeout: PATIENCE_MS,
}, async () => {
  // The check never ends while this worker lives, so it is killed in it.
  platform.engine.parity = () => new Promise(() => undefined);
  await expect
    .poll(async () => (await acme.expect<List<{ id: string }>>(200, 'GET', '/v1/models')).data[0]?.id)
    .toBe('llama-next');
  const { id } = await acme.expect<BaseMoveResource>(202, 'POST', '/v1/base-moves', {
    evaluate: { set: 'smoke' },
  });
  const before = platform.engine.parityRequests.length;
  const killed = async (reached: () => boolean): Promise<void> => {
    const worker = platform.spawnWorker();
    await expect.poll(reached, { timeout: 60_000 }).toBe(true);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
  };
  await killed(() => platform.engine.parityRequests.length > before);
  platform.engine.parity = async () => (await import('../support/fake-engine.js')).FAKE_PARITY;
  // Nor does an answer come to this one.
  platform.engine.script = () => undefined;
  await killed(() => platform.engine.requests.length > 0);
  expect(await acme.expect(200, 'GET', `/v1/base-moves/${id}`)).toMatchObject({ state: 'running' });

  platform.engine.script = answerText('yes');
  await platform.startWorker();
  const move = () => acme.expect<BaseMoveResource>(200, 'GET', `/v1/base-moves/${id}`);
  await expect.poll(async () => (await move()).state, { timeout: 120_000 }).toBe('finished');
  expect((await move()).counts).toMatchObject({ promoted: 3, left: 0 });
  const { data } = await acme.expect<List<MovedVersion>>(200, 'GET', `/v1/base-moves/${id}/versions`);
  expect(data.map(({ adapter, evaluation }) => [adapter, evaluation?.passed])).toEqual([
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ]);
  const decided = await platform.admin.expect<List<object>>(
    200,
    'GET',
    '/v1/admin/audit?action=base_move.promote',
  );
  expect(decided.data).toHaveLength(3);
  const told = await platform.query("SELECT id FROM outbox_events WHERE type = 'base_move.finished'");
  expect(told).toHaveLength(1);
});
