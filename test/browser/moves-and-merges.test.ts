import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, Visitor } from '../support/browser.js';
import { Client, makeTenant } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { type Stack, startStack } from '../support/stack.js';

const OLD = join(goldenFolder('llama-gqa'), 'model');
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-moves-'));
const dataDir = join(folder, 'data');
let stack: Stack | undefined;
let browser: Browser;
let acme: Client;

/** The same network with another epsilon: another base, on which the same adapters answer. */
function nextBase(): string {
  const path = join(folder, 'next');
  cpSync(OLD, path, { recursive: true });
  const config = join(path, 'config.json');
  const read = JSON.parse(readFileSync(config, 'utf8')) as { rms_norm_eps: number };
  writeFileSync(config, JSON.stringify({ ...read, rms_norm_eps: read.rms_norm_eps * 1000 }));
  return path;
}

async function serve(modelPath: string, name: string): Promise<Stack> {
  await stack?.stop({ keepData: true });
  const env = { MODEL_PATH: modelPath, MODEL_NAME: name, PARITY_CHECK: 'off' };
  stack = await startStack({ dataDir, env });
  return stack;
}

beforeAll(async () => {
  browser = await launchBrowser();
  const first = await serve(OLD, 'old-base');
  const { key } = await makeTenant(first.url, first.adminKey, 'acme');
  const before = new Client(first.url, key);
  for (const name of ['judged', 'silent']) {
    const { body } = await before.uploadFolder(name, join(goldenFolder('llama-gqa'), 'adapters/qv-r8'));
    if (body.state !== 'ready') throw new Error(`${name} is ${body.state}`);
  }
  const prompts = (expected: string) => ({ prompts: [{ prompt: 'a b', expected, match: 'contains' }] });
  await before.expect(200, 'PUT', '/v1/evaluation-sets/any', prompts(''));
  await before.expect(200, 'PUT', '/v1/evaluation-sets/never', prompts('no token of this model says that'));
  const second = await serve(nextBase(), 'next-base');
  acme = new Client(second.url, key);
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function visit<T>(key: string, work: (visitor: Visitor) => Promise<T>): Promise<T> {
  const visitor = await Visitor.open(browser, acme.url);
  await visitor.signIn(key);
  const result = await work(visitor);
  await visitor.close();
  return result;
}

describe('moves to a new base', () => {
  it('are ordered, followed, and reported by adapter and reason', async () => {
    await visit(stack?.adminKey ?? '', async (visitor) => {
      const { page } = visitor;
      await visitor.go('/moves?tenant=acme');
      await page.getByText('Nothing has been moved yet.').waitFor();
      await page.getByText('next-base is served: 0 versions answer on it, 2 made for another base').waitFor();
      await page.getByRole('button', { name: 'Move to this base' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Adapter').fill('judged');
      await dialog.getByLabel('Judge by evaluation set').selectOption('any');
      await dialog.getByRole('button', { name: 'Begin the move' }).click();
      await page.getByRole('heading', { name: 'Move to next-base', level: 1 }).waitFor();
      const report = page.getByRole('region', { name: 'Report' });
      const judged = report.getByRole('row').filter({ hasText: 'judged@1' });
      await judged.getByText('promoted', { exact: true }).waitFor();
      await judged.getByText('1 of 1 right, 100 % of 100 %').waitFor();
      await page.getByText('finished', { exact: true }).waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
  });

  it('say what failed of what they left, and lead to another try', async () => {
    await visit(acme.key, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/moves?start=now&adapter=silent');
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Judge by evaluation set').selectOption('never');
      await dialog.getByRole('button', { name: 'Begin the move' }).click();
      const row = page.getByRole('region', { name: 'Report' }).getByRole('row');
      await row.getByText('left', { exact: true }).waitFor();
      await row.getByText('What failed').click();
      await row.getByText(/expected \(contains\) "no token of this model says that", got "/).waitFor();
      const address = page.url();

      // What the address says is what is shown.
      await page.getByText('promoted', { exact: true }).first().click();
      await page.getByText('No version of this move is in this state.').waitFor();
      expect(page.url()).toContain('state=promoted');
      await page.goto(address);
      await page.getByRole('link', { name: 'Move again' }).click();
      await expect.poll(() => page.getByRole('dialog').getByLabel('Adapter').inputValue()).toBe('silent');
      await page.keyboard.press('Escape');
      await expect.poll(() => page.url()).toMatch(/\/moves$/);
      await page.getByRole('link', { name: 'next-base' }).first().waitFor();
      expect(await page.getByRole('region', { name: 'Base moves' }).getByRole('row').count()).toBe(3);

      await visitor.go('/adapters/silent/versions/1');
      const bases = page.getByRole('region', { name: 'Later bases' }).first();
      await bases.getByText('held back', { exact: true }).waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
  });

  it('tell what the API refuses, with its code and the request', async () => {
    await visit(acme.key, async ({ page, url }) => {
      await page.goto(`${url}/console/moves?start=now&adapter=nobody`);
      await page.getByRole('button', { name: 'Begin the move' }).click();
      const alert = page.getByRole('dialog').getByRole('alert');
      await alert.getByText('not_found').waitFor();
      expect(await alert.getByText(/^request/).count()).toBe(1);
    });
  });
});

describe('merges', () => {
  it('are ordered at a version, followed, and downloaded', async () => {
    await visit(acme.key, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/merges');
      await page.getByText('No version has been merged yet.').waitFor();
      await visitor.go('/adapters/judged/versions/1');
      await page.getByRole('link', { name: 'Merge into the base' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Merge', exact: true }).click();
      await page.getByRole('heading', { name: 'Merge of judged@1', level: 1 }).waitFor();
      await page.getByText('ready', { exact: true }).waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
      const coming = page.waitForEvent('download');
      await page.getByRole('link', { name: 'Download' }).click();
      const download = await coming;
      expect(download.suggestedFilename()).toBe('judged-1-merged.tar');
      const { data } = await acme.expect<{ data: { bytes: number }[] }>(200, 'GET', '/v1/merges');
      expect((await stat(await download.path())).size).toBe(data[0]?.bytes);

      await page.getByRole('button', { name: 'Delete' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await page.getByText('No version has been merged yet.').waitFor();
    });
  });

  it('are refused for a version that does not answer on this base', async () => {
    await visit(stack?.adminKey ?? '', async (visitor) => {
      const { page } = visitor;
      await visitor.go('/merges?tenant=acme&of=silent@1');
      await page.getByRole('dialog').getByRole('button', { name: 'Merge', exact: true }).click();
      await page.getByRole('alert').getByText('version_not_ready').waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
  });
});

describe('versions from versions', () => {
  it('are shrunk and converted by the server, and tell what that lost', async () => {
    await visit(stack?.adminKey ?? '', async (visitor) => {
      const { page } = visitor;
      await visitor.go('/adapters/judged/versions/1?tenant=acme');
      await page.getByRole('link', { name: 'Shrink' }).click();
      await page.getByRole('spinbutton', { name: 'Rank' }).fill('2');
      await page.getByRole('button', { name: 'Make the version' }).click();
      const made = page.getByRole('region', { name: 'Validation' });
      await made.getByText('Accepted').waitFor();
      await made.getByRole('link', { name: 'judged@2' }).click();
      const derivation = page.getByRole('region', { name: 'Derivation' });
      await derivation.getByText('Shrunk by the server').waitFor();
      await derivation.getByText('of the norm of the exact deltas').waitFor();
      await derivation.getByText('By modules (').click();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
  });

  it('are composed of several, with what the API refuses told', async () => {
    await visit(acme.key, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/upload?from=versions&of=judged@1');
      await page.getByRole('button', { name: 'Add a version' }).click();
      await page.getByRole('combobox', { name: 'Version 2' }).fill('judged@1');
      await page.getByRole('button', { name: 'Make the version' }).click();
      await page.getByRole('alert').getByText('invalid_request').waitFor();
      await page.getByRole('combobox', { name: 'Version 2' }).fill('judged@2');
      await page.getByLabel('Adapter').first().fill('blend');
      await page.getByRole('button', { name: 'Make the version' }).click();
      await page.getByRole('region', { name: 'Validation' }).getByText('Accepted').waitFor();
      await page.getByRole('link', { name: 'blend@1' }).click();
      const derivation = page.getByRole('region', { name: 'Derivation' });
      await derivation.getByRole('link', { name: 'judged@2' }).waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
  });
});
