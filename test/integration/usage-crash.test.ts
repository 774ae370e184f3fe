import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UsageList } from '#contracts/usage-api.js';
import { Client } from '../support/client.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';
import { freePort, ROOT } from '../support/stack.js';

let platform: Platform;
let acme: Client;
let database: pg.Client;
const started: ChildProcess[] = [];
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  acme = await platform.tenant('acme');
  database = new pg.Client({ connectionString: platform.postgres.url });
  await database.connect();
  platform.engine.script = answer;
});
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await database?.end();
  await platform?.close();
});

function answer(generation: FakeGeneration): void {
  generation.send(
    { type: 'start', promptTokens: 3 },
    {
      type: 'finish',
      reason: 'stop',
      stopReason: null,
      text: 'ok',
      usage: { promptTokens: 3, cachedTokens: 0, completionTokens: 2 },
      timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
    },
  );
  generation.end();
}

/** An API as a process of its own, from dist/, that can be killed. */
class OwnApi {
  printed = '';

  private constructor(
    readonly child: ChildProcess,
    readonly client: Client,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => (this.printed += chunk.toString()));
  }

  static async start(): Promise<OwnApi> {
    const port = await freePort();
    const child = spawn(process.execPath, [join(ROOT, 'dist/apps/api/src/main.js')], {
      env: { ...process.env, ...platform.env, PORT: String(port), LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    const api = new OwnApi(child, new Client(`http://127.0.0.1:${port}`, acme.key));
    while (!(await fetch(`${api.client.url}/health/live`).catch(() => undefined))?.ok) {
      if (child.exitCode !== null) throw new Error(`the API ended:\n${api.printed}`);
      await sleep(50);
    }
    return api;
  }

  complete(): Promise<unknown> {
    return this.client.expect(200, 'POST', '/v1/completions', { model: 'llama-gqa', prompt: [1, 2, 3] });
  }

  async kill(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}

/** What the surviving API answers. */
async function counted(): Promise<{ requests: number; tokens: number }> {
  const [row] = (await acme.expect<UsageList>(200, 'GET', '/v1/usage')).data;
  return {
    requests: row?.requests ?? 0,
    tokens: (row?.prompt_tokens ?? 0) + (row?.completion_tokens ?? 0),
  };
}

const sessionsThatWait = async () => {
  const { rows } = await database.query(
    `SELECT pid FROM pg_stat_activity
     WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO usage_minutes%'`,
  );
  return rows.length;
};

describe('usage of a killed API', () => {
  it('is counted once or not at all when the kill comes in the middle of a flush', async () => {
    const api = await OwnApi.start();
    await api.complete();
    while ((await counted()).requests < 1) await sleep(50);

    const holder = new pg.Client({ connectionString: platform.postgres.url });
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE usage_minutes IN EXCLUSIVE MODE');
    await Promise.all(Array.from({ length: 5 }, () => api.complete()));
    while ((await sessionsThatWait()) === 0) await sleep(20);
    await api.kill();
    await holder.query('ROLLBACK');
    await holder.end();
    while ((await sessionsThatWait()) > 0) await sleep(20);

    // Its five were being written, in one transaction that nobody committed.
    expect(await counted()).toEqual({ requests: 1, tokens: 5 });
    const next = await OwnApi.start();
    await Promise.all(Array.from({ length: 3 }, () => next.complete()));
    while ((await counted()).requests < 4) await sleep(50);
    await next.kill();
    expect(await counted()).toEqual({ requests: 4, tokens: 20 });
  });

  it('has all that ended before its last write, and never more than there was', async () => {
    const before = await counted();
    const ended: number[] = [];
    let certain = 0;
    for (const life_ms of [900, 1_900]) {
      const api = await OwnApi.start();
      const times: number[] = [];
      const dying = sleep(life_ms).then(() => api.kill());
      for (;;) {
        const done = await api.complete().then(
          () => true,
          () => false,
        );
        if (!done) break;
        times.push(Date.now());
      }
      await dying;
      const { rows } = await database.query<{ written: Date }>(
        'SELECT usage_written_at AS written FROM api_processes ORDER BY id DESC LIMIT 1',
      );
      const written_ms = rows[0]?.written.getTime() ?? 0;
      certain += times.filter((time) => time < written_ms).length;
      ended.push(...times);
    }
    const { requests, tokens } = await counted();
    expect(requests - before.requests).toBeLessThanOrEqual(ended.length + 2); // the last of each had no reader
    expect(requests - before.requests).toBeGreaterThanOrEqual(certain);
    expect(tokens).toBe(requests * 5);
  });

  it('is told of by one that lives, with the time from which it may be missing', async () => {
    const witness = await OwnApi.start();
    while (!witness.printed.includes('"from":"2026-01-02T03:04:05.000Z"')) {
      // Two APIs look for the dead: now and then it is the other that finds one.
      await database.query(
        `INSERT INTO api_processes (id, seen_at, usage_written_at)
         VALUES (gen_random_uuid(), now() - interval '1 minute', '2026-01-02T03:04:05Z')`,
      );
      await sleep(100);
    }
    await witness.kill();
    expect(witness.printed).toContain('an API process died');
  });
});
