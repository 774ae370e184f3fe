import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, Visitor } from '../support/browser.js';
import { Client, makeTenant } from '../support/client.js';
import { formOf, withMetadata } from '../support/adapter-form.js';
import { takeBlobAway } from '../support/blob-files.js';
import { DEMO_FOLDER } from '../support/demo.js';
import { OidcProvider } from '../support/oidc.js';
import { freePort, type Stack, startStack } from '../support/stack.js';

let stack: Stack;
let provider: OidcProvider;
let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-browser-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  provider = await OidcProvider.start(url, {
    ada: { roles: ['lorikeet-tenant'], tenant: 'demo' },
    rolf: { roles: [], tenant: 'demo' },
  });
  // Nothing but a request loads an adapter: a test takes one's bytes away before.
  const env = { PUBLIC_URL: url, PARITY_CHECK: 'off', ...provider.settings };
  [stack, browser] = await Promise.all([startStack({ port, env }), launchBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  await provider?.stop();
  await rm(folder, { recursive: true, force: true });
});

const admin = () => new Client(stack.url, stack.adminKey);
const adapterFiles = (name = 'ticket-router') =>
  ['adapter_config.json', 'adapter_model.safetensors'].map((file) =>
    join(DEMO_FOLDER, 'adapters', name, file),
  );

async function visit<T>(key: string | undefined, work: (visitor: Visitor) => Promise<T>): Promise<T> {
  const visitor = await Visitor.open(browser, stack.url);
  if (key !== undefined) await visitor.signIn(key);
  const result = await work(visitor);
  await visitor.close();
  return result;
}

describe('signing in', () => {
  it('asks for a key, keeps it out of the browser, and comes back to the page that was wanted', async () => {
    await visit(undefined, async ({ page, url }) => {
      await page.goto(`${url}/console/engines`);
      await page.getByLabel('API key').fill('lk_wrong');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').getByText('invalid_api_key').waitFor();
      await page.getByLabel('API key').fill(stack.adminKey);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Engines', level: 1 }).waitFor();
      const stored = await page.evaluate(() =>
        JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie }),
      );
      expect(stored).not.toContain(stack.adminKey);
      expect(stored).not.toContain('lorikeet_session');
    });
  });

  it('takes a link once', async () => {
    const { path } = await admin().expect<{ path: string }>(201, 'POST', '/v1/session/links');
    await visit(undefined, async ({ page, url }) => {
      await page.goto(url + path);
      await page.getByRole('button', { name: 'Account' }).waitFor();
      expect(page.url()).not.toContain('#');
    });
    await visit(undefined, async ({ page, url }) => {
      await page.goto(url + path);
      await page.getByRole('alert').getByText('used already').waitFor();
    });
  });

  it('by an identity provider leads to the page that was wanted, and ends when the operator says so', async () => {
    await visit(undefined, async (visitor) => {
      const { page, url } = visitor;
      await visitor.signInAtProvider('ada', '/upload');
      await page.getByRole('heading', { name: 'Upload', level: 1 }).waitFor();
      expect(await page.getByRole('link', { name: 'Engines' }).count()).toBe(0);
      await page.getByRole('button', { name: 'Account' }).click();
      await page.getByText('ada@example.com').waitFor();

      await visit(stack.adminKey, async (operator) => {
        await operator.go('/tenants');
        const sessions = operator.page.getByRole('region', { name: 'Console sessions' }).first();
        const row = sessions.getByRole('row').filter({ hasText: 'ada@example.com' });
        await row.getByRole('button', { name: 'Sign out' }).click();
        await operator.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
        await row.waitFor({ state: 'detached' });
      });
      await page.goto(`${url}/console/upload`);
      await page.getByLabel('API key').waitFor();
    });
  });

  it('by an identity provider says why somebody is refused, and under which request', async () => {
    await visit(undefined, async (visitor) => {
      const { page } = visitor;
      await visitor.signInAtProvider('rolf', '/');
      const alert = page.getByRole('alert');
      await alert.getByText('names no role for you').waitFor();
      await alert.getByText(/no_role · request \S+/).waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
  });

  it('ends with its key, on a page that is open', async () => {
    const key = await admin().expect<{ id: string; key: string }>(201, 'POST', '/v1/admin/keys', {
      name: 'for a while',
    });
    await visit(key.key, async ({ page }) => {
      await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
      await admin().expect(200, 'DELETE', `/v1/admin/keys/${key.id}`);
      await page.getByLabel('API key').waitFor();
      expect(await page.getByRole('heading', { name: 'Overview', level: 1 }).count()).toBe(0);
    });
  });
});

describe('an operator', () => {
  it('uploads a folder, reads why it was refused, mends it, and sees it ready', async () => {
    const bad = join(folder, 'adapter_config.json');
    const config = JSON.parse(await readFile(adapterFiles()[0] ?? '', 'utf8')) as Record<string, unknown>;
    await writeFile(bad, JSON.stringify({ ...config, layer_replication: [[0, 1]] }));
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/upload?tenant=demo');
      await page.getByLabel('Adapter', { exact: false }).first().fill('from-the-browser');
      await page.getByLabel('Files of the adapter').setInputFiles([bad, adapterFiles()[1] ?? '']);
      await page.getByRole('button', { name: 'Upload', exact: true }).click();
      await page.getByText(/Refused: \d+ reason/).waitFor();
      await page.getByText('layer_replication').first().waitFor();
      expect(await page.getByLabel('Validation').getByText('Accepted').count()).toBe(0);

      await page.getByLabel('Files of the adapter').setInputFiles(adapterFiles());
      await page.getByRole('button', { name: 'Upload', exact: true }).click();
      await page.getByLabel('Validation').getByText('Accepted').waitFor();
    });
  });

  it('moves traffic by weight, sees history, and rolls back', async () => {
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/adapters/from-the-browser?tenant=demo&tab=aliases');
      await page.getByRole('button', { name: 'New alias' }).click();
      await page.getByRole('button', { name: 'Create alias' }).click();
      const production = page.getByRole('region', { name: 'Alias production' });
      await production.getByText('version 2: 100 %').waitFor();

      await visitor.go('/upload?tenant=demo&adapter=from-the-browser');
      await page.getByLabel('Files of the adapter').setInputFiles(adapterFiles('order-json'));
      await page.getByRole('button', { name: 'Upload', exact: true }).click();
      await page.getByLabel('Validation').getByText('Accepted').waitFor();

      await visitor.go('/adapters/from-the-browser?tenant=demo&tab=aliases');
      await production.getByRole('button', { name: 'Move traffic' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('combobox', { name: 'Versions that answer' }).click();
      await page.getByRole('listbox').getByRole('option', { name: '3', exact: true }).click();
      await dialog.getByRole('button', { name: 'Move traffic' }).click();
      await production.getByText('version 3: 10 %').waitFor();
      await production.getByText(/Guarded until/).waitFor();

      await production.getByRole('button', { name: 'Roll back' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
      await production.getByText('version 2: 100 %').waitFor();
      await production.getByRole('button', { name: 'History' }).click();
      await production.getByText('rolled back').waitFor();
      expect(await production.getByText(/Guarded until/).count()).toBe(0);
    });
  });

  it('moves a protected alias only together with a second person', async () => {
    const aliases = '/adapters/from-the-browser?tenant=demo&tab=aliases';
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go(aliases);
      const production = page.getByRole('region', { name: 'Alias production' });
      await production.getByRole('button', { name: 'Protect' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Protect' }).click();
      await production.getByText('protected', { exact: true }).waitFor();
      await production.getByRole('button', { name: 'Move traffic' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('combobox', { name: 'Versions that answer' }).click();
      await page.getByRole('listbox').getByRole('option', { name: '3', exact: true }).click();
      await dialog.getByRole('button', { name: 'Ask for this change' }).click();
      const waiting = page.getByRole('region', { name: 'Changes that wait' });
      await waiting.getByText('Somebody else has to approve it.').waitFor();
      expect(await waiting.getByRole('button', { name: 'Approve' }).count()).toBe(0);
      await production.getByText('version 2: 100 %').waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);
    });
    await visit(undefined, async (visitor) => {
      const { page } = visitor;
      await visitor.signInAtProvider('ada', aliases);
      const waiting = page.getByRole('region', { name: 'Changes that wait' });
      await waiting.getByRole('button', { name: 'Approve' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click();
      const production = page.getByRole('region', { name: 'Alias production' });
      await production.getByText('version 3: 10 %').waitFor();
      await waiting.waitFor({ state: 'detached' });
      await production.getByRole('button', { name: 'History' }).click();
      await production.getByText(/approved by/).waitFor();
    });
  });

  it('gives a canary traffic from its own page, and sees the guard take it back when it fails', async () => {
    const demo = new Client(stack.url, stack.adminKey, { 'x-tenant': 'demo' });
    const [config = '', weights = ''] = adapterFiles();
    const upload = async (bytes: Uint8Array) => {
      const form = formOf([
        ['adapter_config.json', await readFile(config)],
        ['adapter_model.safetensors', bytes],
      ]);
      return demo.expect<{ weights_sha256: string }>(
        201,
        'POST',
        '/v1/adapters/canary/versions?create=true&wait=60',
        form,
      );
    };
    await upload(await readFile(weights));
    await demo.expect(200, 'PUT', '/v1/adapters/canary/aliases/production', { routes: [{ version: 1 }] });
    // Content of its own, so that nobody has loaded it, and then nobody can.
    const { weights_sha256 } = await upload(withMetadata(await readFile(weights), { of: 'the canary' }));
    await takeBlobAway(join(stack.dataDir, 'artifacts'), weights_sha256);

    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/adapters/canary/versions/2?tenant=demo');
      await page.getByRole('link', { name: 'Give it traffic' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('Version 2: 10 % of the requests').waitFor();
      await dialog.getByLabel('Judge after so many requests').fill('1');
      await dialog.getByRole('button', { name: 'Move traffic' }).click();
      const production = page.getByRole('region', { name: 'Alias production' });
      await production.getByText('version 2: 10 %').waitFor();
      await production.getByText(/Guarded until/).waitFor();
      let user = 0;
      const goesOn = async (): Promise<boolean> => {
        user += 1;
        const body = { model: 'canary', prompt: 'My parcel', max_tokens: 1, user: `user ${user}` };
        await demo.call('POST', '/v1/completions', body);
        return (await production.getByText('version 1: 100 %').count()) === 0;
      };
      await expect.poll(goesOn, { timeout: 120_000, interval: 20 }).toBe(false);
      await production.getByRole('button', { name: 'History' }).click();
      await production.getByText('guard went back').waitFor();
      await production.getByText(/version 2: max_error_rate 1 over 0.05/).waitFor();
    });
  });

  it('asks an adapter in the playground and compares it with the base', async () => {
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/playground?tenant=demo&model=from-the-browser');
      await page.getByLabel('Message').fill('My parcel has not arrived');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText(/completion tokens, first after/).waitFor();
      await page.getByText(`${stack.url}/v1/chat/completions`).first().waitFor();

      await page.getByRole('button', { name: 'Sampling, structure and tools' }).click();
      await page.getByLabel('Answer').selectOption('One of some texts');
      await page.getByLabel('Texts').fill('parrot\nlorikeet');
      await page.getByRole('button', { name: 'New conversation' }).click();
      await page.getByLabel('Message').fill('Which bird?');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText(/^(parrot|lorikeet)$/).waitFor();
      await page.getByText('"structured_outputs"').first().waitFor();
      expect(await visitor.seriousFaults()).toEqual([]);

      await visitor.go('/compare?tenant=demo&models=lorikeet-demo,from-the-browser');
      await page.getByLabel('Prompts, one a line').fill('My parcel has not arrived');
      await page.getByRole('button', { name: 'Compare' }).click();
      await expect.poll(() => page.getByText(/tokens, first .* all \d/).count(), { timeout: 60_000 }).toBe(2);
    });
  });

  it('saves what it compares as an evaluation set, with scores, for a hook to promote by', async () => {
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/compare?tenant=demo&models=lorikeet-demo,from-the-browser');
      await page.getByLabel('Prompts, one a line').fill('My parcel has not arrived');
      await page.getByRole('button', { name: 'Compare' }).click();
      await expect.poll(() => page.getByRole('button', { name: 'Expect this' }).count()).toBe(2);
      await page.getByRole('button', { name: 'Expect this' }).last().click();
      await page.getByRole('status').getByText('from-the-browser: 1 of 1 right').waitFor();
      await page.getByRole('button', { name: 'Wrong' }).last().click();
      await page.getByRole('status').getByText('from-the-browser: 0 of 1 right').waitFor();
      await page.getByRole('button', { name: 'Save as a set' }).click();
      await page.getByRole('dialog').getByLabel('Name').fill('parcels');
      await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
      await page.getByText(/Revision 1, digest/).waitFor();
      expect(page.url()).toContain('set=parcels');
      await page.reload();
      await expect.poll(() => page.getByLabel('Prompt 1').inputValue()).toBe('My parcel has not arrived');
      expect(await visitor.seriousFaults()).toEqual([]);

      await page.getByLabel('Prompt 1').fill('My parcel is late');
      await page.getByRole('button', { name: 'Add a prompt' }).click();
      await page.getByLabel('Prompt 2').fill('I was charged twice');
      await page.getByLabel('Expected of I was charged twice').fill('billing');
      await page.getByRole('button', { name: 'Save', exact: true }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
      await page.getByText(/Revision 2, digest/).waitFor();
      await page.reload();
      await expect.poll(() => page.getByLabel('Prompt 1').inputValue()).toBe('My parcel is late');
      await expect.poll(() => page.getByLabel('Prompt 2').inputValue()).toBe('I was charged twice');

      await visitor.go('/fine-tune?tenant=demo');
      await page.getByRole('button', { name: 'New hook' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Name').fill('nightly');
      await dialog.getByLabel('Promote to alias').fill('production');
      await dialog.getByLabel('Only by evaluation set').selectOption('parcels');
      await dialog.getByRole('button', { name: 'Create' }).click();
      await dialog.getByText('whsec_').waitFor();
      await page.keyboard.press('Escape');
      await page.getByText(/production, from 100 % right of/).waitFor();
    });
  });

  it('sees where versions lie, how they came there, and what others would cost', async () => {
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/engines');
      const places = page.getByRole('region', { name: 'Where versions lie' });
      await places.getByRole('row').filter({ hasText: 'demo/from-the-browser@' }).first().waitFor();
      await places.getByText('device', { exact: true }).first().waitFor();
      await places.getByText('goes first').waitFor();
      await page.getByRole('region', { name: 'Load timeline' }).getByText('host → device').first().waitFor();
      const fits = page.getByRole('region', { name: 'What fits' });
      await fits.getByText('modules of rank 16').waitFor();
      await fits.getByLabel('Rank').fill('8');
      await fits.getByText('modules of rank 8').waitFor();
      expect(await fits.getByText('modules of rank 16').count()).toBe(0);
    });
  });

  it('looks as a tenant, read-only, and that stands in the audit log', async () => {
    await visit(stack.adminKey, async (visitor) => {
      const { page } = visitor;
      await visitor.go('/tenants/demo');
      await page.getByRole('button', { name: 'View as this tenant' }).click();
      await page.getByText('You look at the console as').waitFor();
      await page.getByRole('link', { name: 'from-the-browser' }).waitFor();
      expect(await page.getByRole('button', { name: 'New adapter' }).count()).toBe(0);
      const refused = await page.evaluate(async () => {
        const { status } = await fetch('/v1/adapters', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-lorikeet-console': '1' },
          body: '{"name":"not-this-way"}',
        });
        return status;
      });
      expect(refused).toBe(403);
      await page.getByRole('button', { name: 'Leave' }).click();
      await visitor.go('/audit?action=console_session.view');
      await page.getByText('console_session.view').first().waitFor();
    });
  });
});

describe('a tenant', () => {
  it("sees nothing of another's, and no page of operators", async () => {
    const { key } = await makeTenant(stack.url, stack.adminKey, 'stranger');
    await visit(key, async (visitor) => {
      const { page } = visitor;
      await page.getByText('This tenant has no adapter yet.').waitFor();
      expect(await page.getByRole('link', { name: 'Engines' }).count()).toBe(0);
      await visitor.go('/adapters/from-the-browser');
      await page.getByText('not_found').waitFor();
      await visitor.go('/audit');
      await page.getByText('insufficient_scope').waitFor();
    });
  });
});

describe('every page', () => {
  const adapter = '/adapters/from-the-browser';
  const paths = [
    '/',
    '/adapters?tenant=demo',
    `${adapter}?tenant=demo`,
    `${adapter}?tenant=demo&tab=aliases`,
    `${adapter}?tenant=demo&tab=usage`,
    `${adapter}?tenant=demo&tab=shares`,
    `${adapter}/versions/1?tenant=demo`,
    '/upload?tenant=demo',
    '/upload?tenant=demo&from=import',
    '/playground?tenant=demo',
    '/playground?tenant=demo&mode=completion',
    '/compare?tenant=demo',
    '/compare?tenant=demo&set=parcels',
    '/upload?tenant=demo&from=versions',
    '/upload?tenant=demo&from=versions&operation=shrink',
    '/upload?tenant=demo&from=versions&operation=convert',
    '/moves?tenant=demo',
    '/moves?tenant=demo&start=now',
    '/merges?tenant=demo',
    '/merges?tenant=demo&of=from-the-browser%402',
    '/fine-tune?tenant=demo',
    '/fine-tune?tenant=demo&tab=jobs',
    '/fine-tune?tenant=demo&tab=trainers',
    '/fine-tune?tenant=demo&tab=endpoints',
    '/usage?tenant=demo',
    '/usage?by=tenant&days=1',
    '/requests?tenant=demo',
    '/requests?tenant=demo&tail=on',
    '/engines',
    '/tenants',
    '/tenants/demo',
    '/jobs',
    '/audit',
    '/maintenance',
    '/settings',
  ];

  it('has nothing serious for axe-core to find, in both themes, and fits the width of a phone', async () => {
    const found: Record<string, string[]> = {};
    const visitor = await Visitor.open(browser, stack.url, { colorScheme: 'light' });
    const { page } = visitor;
    const note = (what: string, faults: readonly string[]): void => {
      if (faults.length > 0) found[what] = [...faults];
    };
    const look = async (path: string): Promise<void> => {
      note(`${path} light`, await visitor.seriousFaults());
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.waitForFunction(
        () =>
          document.querySelector('[data-mantine-color-scheme=dark]') !== null &&
          document.getAnimations().length === 0,
      );
      note(`${path} dark`, await visitor.seriousFaults('color-contrast'));
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize({ width: 390, height: 844 });
      const fits = page.waitForFunction(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return scrollWidth <= clientWidth;
      });
      await fits.catch(() => note(`${path} phone`, ['is wider than the window']));
      await page.setViewportSize({ width: 1280, height: 900 });
    };
    await visitor.go('/sign-in');
    await page.getByLabel('API key').waitFor();
    await look('/sign-in');
    await visitor.signIn(stack.adminKey);
    for (const path of paths) {
      await visitor.walk(path);
      await look(path);
    }
    await visitor.close();
    expect(found).toEqual({});
  });
});
