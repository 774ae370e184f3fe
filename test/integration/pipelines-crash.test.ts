import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenFiles } from '../support/adapter-form.js';
import { ArtifactServer } from '../support/artifact-server.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';
import { postSigned, Receiver, until } from '../support/webhooks.js';

/** Whoever was killed keeps its work for some twenty seconds; then another process has to start and do it. */
const PATIENCE_MS = 240_000;

const EVENTS = 12;

let platform: Platform;
let acme: Client;
let storage: ArtifactServer;
let receiver: Receiver;
const workers = new Set<ChildProcess>();

beforeAll(async () => {
  platform = await Platform.start({
    worker: false,
    env: { ALLOW_PRIVATE_IMPORTS: 'true', WEBHOOK_RETRY_SCHEDULE: '0,0.2,0.2,0.2,0.2,0.2' },
  });
  [storage, receiver] = [await ArtifactServer.start(), await Receiver.start()];
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await Promise.all([...workers].map(kill));
  await Promise.all([storage?.close(), receiver?.close()]);
  await platform?.close();
});

function startWorker(): void {
  const worker = platform.spawnWorker();
  workers.add(worker);
}
async function kill(worker: ChildProcess): Promise<void> {
  workers.delete(worker);
  worker.kill('SIGKILL');
  if (worker.exitCode === null && worker.signalCode === null) await once(worker, 'exit');
}

interface Delivery {
  readonly state: string;
  readonly version: number;
  readonly reason: string | null;
}

describe('workers that are killed again and again', () => {
  it('lose no announced adapter, make none twice, and leave no webhook untold', {
    timeout: PATIENCE_MS,
  }, async () => {
    const url = storage.put('good', goldenFiles('qv-r8'));
    const hook = await acme.expect<{ id: string; url: string; secret: string }>(201, 'POST', '/v1/hooks', {
      name: 'ci',
      promote: 'production',
    });
    const endpoint = await acme.expect<{ id: string }>(201, 'POST', '/v1/webhook-endpoints', {
      url: receiver.url,
      events: ['adapter.version.ready'],
    });
    startWorker();
    startWorker();
    for (let i = 0; i < EVENTS; i += 1) {
      const data = { job_id: `run-${i}`, adapter: `bot-${i % 3}`, artifact: { url } };
      const event = { type: 'fine_tuning.job.succeeded', data };
      expect((await postSigned(hook.url, hook.secret, event, { id: `run-${i}` })).status).toBe(202);
    }
    for (let i = 0; i < 3; i += 1) {
      await sleep(1_500);
      await kill([...workers][0] as ChildProcess);
      startWorker();
    }
    const path = `/v1/hooks/${hook.id}/deliveries?limit=100`;
    const { data } = await until(
      () => acme.expect<{ data: Delivery[] }>(200, 'GET', path),
      (page) => page.data.every(({ state }) => state === 'succeeded' || state === 'failed'),
      90_000,
    );
    expect(data.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(data).toHaveLength(EVENTS);
    for (let bot = 0; bot < 3; bot += 1) {
      const versions = await acme.expect<{ data: { version: number; state: string }[] }>(
        200,
        'GET',
        `/v1/adapters/bot-${bot}/versions`,
      );
      expect(versions.data.map(({ version, state }) => [version, state])).toEqual([
        [4, 'ready'],
        [3, 'ready'],
        [2, 'ready'],
        [1, 'ready'],
      ]);
      const alias = await acme.expect(200, 'GET', `/v1/adapters/bot-${bot}/aliases/production`);
      expect(alias).toMatchObject({ routes: [{ version: 4 }] });
    }
    const told = await until(
      () =>
        acme.expect<{ data: { state: string }[] }>(
          200,
          'GET',
          `/v1/webhook-endpoints/${endpoint.id}/deliveries?limit=100`,
        ),
      (page) => page.data.length === EVENTS && page.data.every(({ state }) => state === 'succeeded'),
      60_000,
    );
    expect(told.data).toHaveLength(EVENTS);
    const ids = new Set(receiver.received.map(({ headers }) => headers['webhook-id']));
    expect(ids.size).toBe(EVENTS);
  });
});
