import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AliasWithHistory, VersionResource } from '#contracts/adapters-api.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { Platform } from '../support/platform.js';

// What a process has read stays fresh for longer than a test runs: only hearing of a change can renew it.
vi.mock('#stores/fresh-time.js', () => ({ FRESH_MS: 600_000 }));
const HEARD = { timeout: 20_000, interval: 20 };

let platform: Platform;
let acme: Client;
/** The same tenant at another API process. */
let elsewhere: Client;
/** By version, from 1. */
const digests: (string | null)[] = [null];
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  elsewhere = new Client(await platform.startApi(), acme.key);
  platform.engine.script = answerWith([1]);
  for (const name of ['qv-r8', 'rslora-r4']) {
    const form = formOf(Object.entries(goldenFiles(name)));
    const path = '/v1/adapters/bot/versions?create=true&wait=60';
    digests.push((await acme.expect<VersionResource>(201, 'POST', path, form)).digest);
  }
});
afterAll(() => platform?.close());

const point = (version: number) =>
  acme.expect<AliasWithHistory>(200, 'PUT', '/v1/adapters/bot/aliases/production', { routes: [{ version }] });

async function servedBy(client: Client): Promise<number> {
  await client.expect(200, 'POST', '/v1/completions', { model: 'bot', prompt: 'x' });
  return digests.indexOf(platform.engine.requests.at(-1)?.adapter ?? null);
}

const heardElsewhere = (version: number) =>
  vi.waitFor(async () => expect(await servedBy(elsewhere)).toBe(version), HEARD);

/** Ends every connection that listens; says how many there were. */
async function cutListeners(): Promise<number> {
  const rows = await platform.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lorikeet listen'",
  );
  return rows.length;
}

describe('what a process knows of an alias', () => {
  it('is renewed by a change at another process long before it would grow old', async () => {
    for (const version of [1, 2, 1, 2]) {
      await point(version);
      expect(await servedBy(acme)).toBe(version);
      await heardElsewhere(version);
    }
  });

  it('is renewed also when the change came while nobody listened', async () => {
    await point(1);
    await heardElsewhere(1);
    expect(await cutListeners()).toBeGreaterThanOrEqual(3); // two APIs and a worker
    await point(2);
    await heardElsewhere(2);
    await point(1);
    await heardElsewhere(1);
  });
});

describe("what a version's labels say of its answers", () => {
  const label = (labels: Record<string, string>, status = 200) =>
    acme.expect(status, 'PATCH', '/v1/adapters/bot/versions/1', { labels });
  const wanted = async () => {
    const messages = [{ role: 'user', content: 'x' }];
    await acme.expect(200, 'POST', '/v1/chat/completions', { model: 'bot@1', messages });
    return platform.engine.requests.at(-1)?.wantedFormats;
  };

  it('holds from the next request on, and is refused where it is none that is known', async () => {
    expect(await wanted()).toEqual({ tools: false, reasoning: true });
    await label({ team: 'a', tool_parser: 'phi', reasoning_parser: 'none' });
    expect(await wanted()).toEqual({
      tools: false,
      reasoning: true,
      toolFormat: 'phi',
      reasoningFormat: 'none',
    });
    expect(await label({ tool_parser: 'morse' }, 400)).toMatchObject({
      error: { param: 'labels.tool_parser' },
    });
    await label({});
    expect(await wanted()).toEqual({ tools: false, reasoning: true });
  });
});
