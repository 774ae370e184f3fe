import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, makeTenant } from '../support/client.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { ROOT, type Stack, startStack } from '../support/stack.js';

interface Told {
  readonly code: number;
  readonly output: string;
}

/** One of the commands of `npm run`. */
function command(...args: string[]): Promise<Told> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(ROOT, 'scripts/backup.mjs'), ...args],
      { cwd: ROOT },
      (error, stdout, stderr) =>
        resolve({
          code: typeof error?.code === 'number' ? error.code : error ? -1 : 0,
          output: stdout + stderr,
        }),
    );
  });
}

interface Versions {
  readonly data: readonly {
    readonly version: number;
    readonly digest: string | null;
    readonly last_served_at: string | null;
  }[];
}

/** When a version was last served is written some time after, also after the backup. */
const withoutLastServed = ({ data }: Versions) => data.map(({ last_served_at: _, ...version }) => version);

describe('the restore drill', () => {
  const demo = demoIndex();
  const [adapter] = demo.adapters as [(typeof demo.adapters)[number]];
  let folder: string;
  let stack: Stack;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lorikeet drill '));
    stack = await startStack();
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const answerOf = async (client: Client, model: string): Promise<unknown> => {
    const body = { model, messages: adapter.example.messages, max_tokens: 20, temperature: 0 };
    const { choices } = await client.expect<{ choices: unknown[] }>(
      200,
      'POST',
      '/v1/chat/completions',
      body,
    );
    return choices;
  };

  it('brings back, after everything was lost, what a backup under load held', async () => {
    const { adminKey } = stack;
    const acme = await makeTenant(stack.url, adminKey, 'acme');
    for (let i = 0; i < 2; i++) await acme.uploadFolder('bot', join(DEMO_FOLDER, adapter.path));
    let running = true;
    const load = (async () => {
      for (let i = 0; running; i++) {
        await acme.uploadFolder(`load-${i}`, join(DEMO_FOLDER, adapter.path));
        await answerOf(acme, 'bot@1');
      }
    })();
    const file = join(folder, 'backup.tar');
    const dataDir = ['--data-dir', stack.dataDir];
    expect(await command('restore', file, ...dataDir)).toMatchObject({
      code: 1,
      output: expect.stringMatching(/Lorikeet runs on/) as string,
    });
    const made = await command('backup', file, ...dataDir);
    running = false;
    await load;
    expect(made).toMatchObject({ code: 0, output: expect.stringContaining('is complete') as string });
    expect(await command('backup', file, ...dataDir)).toMatchObject({ code: 1 }); // never over another
    expect(await command('backup', file, '--check')).toMatchObject({ code: 0 });
    expect(await command('verify-storage', ...dataDir)).toMatchObject({
      code: 0,
      output: expect.stringMatching(/All \d+ files .* are there/) as string,
    });
    const versions = await acme.expect<Versions>(200, 'GET', '/v1/adapters/bot/versions');
    expect(versions.data).toHaveLength(2);
    const before = [await answerOf(acme, 'bot@1'), await answerOf(acme, 'bot@2')];
    await stack.stop(); // and its data is gone

    const fresh = join(folder, 'data');
    const restored = await command('restore', file, '--data-dir', fresh);
    expect(restored).toMatchObject({
      code: 0,
      output: expect.stringContaining('are there. Start Lorikeet.') as string,
    });
    expect(await command('restore', file, '--data-dir', fresh)).toMatchObject({
      code: 1,
      output: expect.stringContaining('not empty') as string,
    });
    stack = await startStack({ dataDir: fresh });
    expect(stack.adminKey).toBe(adminKey);
    const again = new Client(stack.url, acme.key);
    const held = await again.expect<Versions>(200, 'GET', '/v1/adapters/bot/versions');
    expect(withoutLastServed(held)).toEqual(withoutLastServed(versions));
    expect([await answerOf(again, 'bot@1'), await answerOf(again, 'bot@2')]).toEqual(before);
    expect((await again.uploadFolder('bot', join(DEMO_FOLDER, adapter.path))).body).toMatchObject({
      state: 'ready',
      version: 3,
      digest: versions.data[0]?.digest,
    });
  });
});
