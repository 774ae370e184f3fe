import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import { goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { FileServer } from '../support/file-server.js';
import { untilVersion } from '../support/imports.js';
import { Platform } from '../support/platform.js';

/** Whoever was killed keeps its work for some twenty seconds; then another process has to start and do it. */
const PATIENCE_MS = 240_000;

let platform: Platform;
let acme: Client;
let server: FileServer;
beforeAll(async () => {
  server = await FileServer.start();
  server.add('/bot', goldenFiles('all-r16-bf16'));
  platform = await Platform.start({ worker: false, env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await platform?.close();
  server?.close();
});

describe('a worker that is killed in the middle of an import', () => {
  it('loses no byte that was counted: the next one goes on there', { timeout: PATIENCE_MS }, async () => {
    const weights = goldenFiles('all-r16-bf16')[WEIGHTS] as Uint8Array;
    // A chunk that comes more than a second after the first is counted with all before it; then no more comes.
    server.beforeChunk = (at) =>
      at === 32_768 ? sleep(1_100) : at > 32_768 ? new Promise(() => undefined) : undefined;
    const started = await acme.expect<VersionResource>(201, 'POST', '/v1/adapters/bot/versions?create=true', {
      source: `${server.url}/bot`,
    });
    expect(started.state).toBe('importing');

    const killed = platform.spawnWorker();
    const half = await untilVersion(acme, 'bot', {
      is: (version) => (version.import?.bytes_done ?? 0) > 20_000,
    });
    const ended = once(killed, 'exit');
    killed.kill('SIGKILL');
    await ended;
    expect(half).toMatchObject({ state: 'importing', digest: null, import: { attempts: 1 } });

    server.beforeChunk = () => undefined;
    const next = platform.spawnWorker();
    const ready = await untilVersion(acme, 'bot', {
      is: ({ state }) => state !== 'importing' && state !== 'uploaded' && state !== 'validating',
    });
    next.kill('SIGTERM');
    await once(next, 'exit');
    expect(ready).toMatchObject({ state: 'ready', import: { attempts: 2, last_error: null } });
    expect(ready.weights_sha256).toBe(createHash('sha256').update(weights).digest('hex'));

    const [first, second] = server.rangesOf(`/bot/${WEIGHTS}`);
    expect(first).toBeUndefined();
    const resumedAt = Number(/^bytes=(\d+)-$/.exec(second ?? '')?.[1]);
    expect(resumedAt).toBeGreaterThan(10_000);
    expect(resumedAt).toBeLessThan(weights.length);
  });
});
