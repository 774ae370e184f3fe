import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource, VersionState } from '#contracts/adapters-api.js';
import type { List } from '#contracts/resource.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

/** Whoever was killed keeps its work for some twenty seconds; then another process has to start and do it. */
const PATIENCE_MS = 240_000;

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  acme = await platform.tenant('acme');
});
afterAll(() => platform?.close());

const form = () => formOf(Object.entries(goldenFiles('all-r16-bf16')));
const upload = () =>
  acme.expect<VersionResource>(201, 'POST', '/v1/adapters/bot/versions?create=true', form());

async function states(): Promise<VersionState[]> {
  const { data } = await acme.expect<List<VersionResource>>(
    200,
    'GET',
    '/v1/adapters/bot/versions?limit=100',
  );
  return data.map(({ state }) => state);
}

type Worker = ReturnType<Platform['spawnWorker']>;

async function until(condition: () => Promise<boolean>, worker: Worker): Promise<void> {
  while (!(await condition())) {
    if (worker.exitCode !== null) throw new Error(`the worker ended with ${worker.exitCode}`);
    await sleep(10);
  }
}

async function kill(worker: Worker): Promise<void> {
  const ended = once(worker, 'exit');
  worker.kill('SIGKILL');
  await ended;
}

describe('a worker that is killed', () => {
  it('loses no version, wherever it was', { timeout: PATIENCE_MS }, async () => {
    // While no engine is there, the job waits inside the worker.
    const { status } = platform.engine;
    platform.engine.status = { ...status, state: 'loading' };
    const waiting = platform.spawnWorker();
    await upload();
    await until(async () => (await platform.activeJobs()) > 0, waiting);
    await kill(waiting);
    expect(await states()).toEqual(['uploaded']);
    platform.engine.status = status;

    // In the middle of validation, at whatever point it happens to be.
    for (let round = 0; round < 3; round += 1) {
      await Promise.all([upload(), upload(), upload()]);
      const settled = async () => (await states()).filter((state) => state === 'ready').length;
      const before = await settled();
      const worker = platform.spawnWorker();
      await until(async () => (await states()).includes('validating') || (await settled()) > before, worker);
      await kill(worker);
      expect(await states()).not.toContain('rejected');
    }

    const last = platform.spawnWorker();
    await until(async () => (await states()).every((state) => state === 'ready'), last);
    const ended = once(last, 'exit');
    last.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(await states()).toHaveLength(10);
  });
});
