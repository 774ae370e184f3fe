import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { finish } from '../support/fake-answers.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let elsewhere: Client;
/** The request that the engine has begun and not ended. */
let running: FakeGeneration | undefined;
beforeAll(async () => {
  platform = await Platform.start({ env: { DELETE_GRACE_S: '0' } });
  acme = await platform.tenant('acme');
  elsewhere = new Client(await platform.startApi(), acme.key);
  platform.engine.script = (generation) => {
    generation.send({ type: 'start', promptTokens: 1 }, { type: 'tokens', text: 'a', ids: [1] });
    running = generation;
  };
});
afterAll(() => platform?.close());

const upload = (adapter: string, golden: string) =>
  acme.expect<VersionResource>(
    201,
    'POST',
    `/v1/adapters/${adapter}/versions?create=true&wait=60`,
    formOf(Object.entries(goldenFiles(golden))),
  );
const call = (model: string, client = acme) => client.call('POST', '/v1/completions', { model, prompt: 'x' });
const WAIT = { timeout: 30_000, interval: 50 };

async function blobs(): Promise<string[]> {
  const entries = await readdir(join(platform.folder, 'blobs/sha256'), { recursive: true });
  return entries.filter((entry) => entry.length > 64).map((entry) => entry.slice(-64));
}

/** What the engine says it serves. */
async function engineRuns(
  digest: string | null,
  requests: number,
  field: 'resident' | 'waiting' = 'resident',
) {
  const { status } = platform.engine;
  const entry = { digest: digest ?? '', bytes: 1, requests };
  platform.engine.status = {
    ...status,
    adapters: { ...status.adapters, resident: [], waiting: [], [field]: [entry] },
  };
  const polls = platform.engine.statusCalls;
  // Three processes ask for it by turns.
  await vi.waitFor(() => expect(platform.engine.statusCalls).toBeGreaterThan(polls + 6), WAIT);
}

/** Several looks of the worker. */
async function workerLooks(): Promise<void> {
  const [{ now } = { now: new Date() }] = await platform.query<{ now: Date }>('SELECT now() AS now');
  await vi.waitFor(async () => {
    const [row] = await platform.query<{ late: boolean }>(
      "SELECT now() > $1::timestamptz + interval '2 s' AS late",
      [now],
    );
    expect(row?.late).toBe(true);
  }, WAIT);
}

describe('a version that is deleted while it answers', () => {
  it('is gone for new requests at once, finishes the running one, and only then frees its bytes', async () => {
    const { digest, weights_sha256 } = await upload('bot', 'qv-r8');
    const answer = call('bot');
    await vi.waitFor(() => expect(running).toBeDefined(), WAIT);
    await engineRuns(digest, 1);
    await acme.expect(200, 'DELETE', '/v1/adapters/bot/versions/1');
    expect(platform.engine.dropped).toEqual([digest]);
    expect((await call('bot@1')).status).toBe(404);
    await vi.waitFor(async () => expect((await call('bot@1', elsewhere)).status).toBe(404), WAIT);
    await workerLooks();
    expect(await blobs()).toEqual(expect.arrayContaining([digest, weights_sha256]));
    running?.send({ type: 'tokens', text: 'b', ids: [2] });
    if (running) finish(running, 2);
    expect(await answer).toMatchObject({ status: 200, body: { choices: [{ text: 'ab' }] } });
    await engineRuns(digest, 0);
    await vi.waitFor(async () => expect(await blobs()).toEqual([]), WAIT);
    expect(platform.engine.dropped).toEqual([digest, digest]); // once more, had a late request brought it back
  });

  it('keeps its bytes for a request that still waits for its adapter', async () => {
    const { digest } = await upload('bot', 'qv-r8');
    await engineRuns(digest, 1, 'waiting');
    await acme.expect(200, 'DELETE', '/v1/adapters/bot');
    await workerLooks();
    expect(await blobs()).toContain(digest);
    await engineRuns(digest, 0);
    await vi.waitFor(async () => expect(await blobs()).toEqual([]), WAIT);
  });
});

describe('two versions with the same bytes', () => {
  it('have one digest and one stored copy, which lives and stays resident until both are deleted', async () => {
    platform.engine.dropped.length = 0;
    const one = await upload('one', 'rslora-r4');
    const stored = await blobs();
    const two = await upload('two', 'rslora-r4');
    expect(two.digest).toBe(one.digest);
    expect(await blobs()).toEqual(stored);
    await acme.expect(200, 'DELETE', '/v1/adapters/one/versions/1');
    await workerLooks();
    expect(await blobs()).toEqual(stored);
    expect(platform.engine.dropped).toEqual([]);
    await acme.expect(200, 'DELETE', '/v1/adapters/two');
    await vi.waitFor(async () => expect(await blobs()).toEqual([]), WAIT);
    expect(new Set(platform.engine.dropped)).toEqual(new Set([one.digest]));
  });

  it('keep the bytes when they are uploaded again while the first still drains', async () => {
    const one = await upload('again', 'dora-r8');
    await engineRuns(one.digest, 1);
    await acme.expect(200, 'DELETE', '/v1/adapters/again/versions/1');
    const two = await upload('again', 'dora-r8');
    expect(two.digest).toBe(one.digest);
    await engineRuns(one.digest, 0);
    await vi.waitFor(
      async () => expect(await platform.query('SELECT 1 FROM released_files')).toEqual([]),
      WAIT,
    );
    expect(await blobs()).toContain(one.digest);
    await acme.expect(200, 'DELETE', '/v1/adapters/again/versions/2');
    await vi.waitFor(async () => expect(await blobs()).toEqual([]), WAIT);
  });
});
