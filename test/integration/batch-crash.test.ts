import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchOf, chatLine, ended, linesOf, startBatch } from '../support/batches.js';
import type { Client } from '../support/client.js';
import { answer } from '../support/fake-answers.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';

/** Whoever was killed keeps its batch for some fifteen seconds; then another process has to start and go on. */
const PATIENCE_MS = 240_000;
const LINES = 24;
/** Of those, the lines that are answered before the worker is killed. */
const FIRST = 5;

let platform: Platform;
let acme: Client;
let worker: ReturnType<Platform['spawnWorker']> | undefined;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await kill();
  await platform?.close();
});

async function kill(): Promise<void> {
  if (!worker || worker.exitCode !== null || worker.signalCode !== null) return;
  const exit = once(worker, 'exit');
  worker.kill('SIGKILL');
  await exit;
}

describe('a batch whose worker is killed', () => {
  it('goes on with the next worker, with one result for each line', { timeout: PATIENCE_MS }, async () => {
    const asked = new Map<string, number>();
    const held: FakeGeneration[] = [];
    let isOpen = false;
    platform.engine.script = (generation) => {
      const { input } = generation.request;
      const said = /line-\d+/.exec(input.kind === 'chat' ? input.conversation : '')?.[0] ?? '';
      asked.set(said, (asked.get(said) ?? 0) + 1);
      if (isOpen || Number(said.slice('line-'.length)) < FIRST) answer(generation, [1]);
      else held.push(generation);
    };
    const ids = Array.from({ length: LINES }, (_, index) => `line-${index}`);
    const { id } = await startBatch(
      acme,
      ids.map((each) => chatLine(each)),
    );
    const completed = async () => (await batchOf(acme, id)).request_counts.completed;

    worker = platform.spawnWorker();
    await expect.poll(completed, { timeout: 90_000 }).toBe(FIRST);
    await expect.poll(() => held.length).toBe(8);
    await kill();
    expect(await completed()).toBe(FIRST);

    isOpen = true;
    worker = platform.spawnWorker();
    const batch = await ended(acme, id, 120_000);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: LINES, completed: LINES, failed: 0 },
      error_file_id: null,
    });
    const output = await linesOf(acme, batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(ids);
    expect(new Set(output.map((line) => line.id)).size).toBe(LINES);
    for (const first of ids.slice(0, FIRST)) expect([first, asked.get(first)]).toEqual([first, 1]);
    expect(await platform.query('SELECT 1 FROM batch_results')).toEqual([]);
  });
});
