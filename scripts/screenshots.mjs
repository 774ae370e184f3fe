// `npm run screenshots [FOLDER]`: every page of the console in both themes and at a phone's width, as small PNGs.
// Starts the demo on a port of its own, fills it with something to look at, and leaves nothing behind.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { runCommand } from './lib/main.mjs';
import { inRepository } from './lib/paths.mjs';
import { say } from './lib/print.mjs';
import { StopError } from './lib/stop-error.mjs';

/** @typedef {import('playwright-core').Page} Page */

const PAGES = {
  overview: '/',
  adapters: '/adapters?tenant=demo',
  adapter: '/adapters/ticket-router?tenant=demo',
  aliases: '/adapters/ticket-router?tenant=demo&tab=aliases',
  version: '/adapters/ticket-router/versions/1?tenant=demo',
  upload: '/upload?tenant=demo',
  playground: '/playground?tenant=demo&model=ticket-router',
  compare: '/compare?tenant=demo&set=tickets&models=lorikeet-demo,ticket-router',
  'fine-tune': '/fine-tune?tenant=demo',
  usage: '/usage?tenant=demo',
  engines: '/engines',
  tenants: '/tenants',
  tenant: '/tenants/demo',
  jobs: '/jobs',
  audit: '/audit',
  maintenance: '/maintenance',
};

const VIEWS = [
  { name: 'light', colorScheme: /** @type {const} */ ('light'), viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: /** @type {const} */ ('dark'), viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: /** @type {const} */ ('light'), viewport: { width: 390, height: 844 } },
];

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/**
 * @param {string} url
 * @param {string} key
 */
function callerOf(url, key) {
  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   */
  return async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        'x-tenant': 'demo',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) say(`${method} ${path}: ${response.status} ${await response.text()}`);
    else await response.arrayBuffer();
  };
}

/**
 * Something on every page: traffic, a canary with its guard, a protected alias with a change that waits, a set, a hook.
 * @param {ReturnType<typeof callerOf>} call
 */
async function fill(call) {
  const aliases = '/v1/adapters/ticket-router/aliases';
  await call('PUT', `${aliases}/production`, { routes: [{ version: 1 }] });
  await call('PUT', `${aliases}/staging`, { routes: [{ version: 1 }] });
  await call('PUT', `${aliases}/production/protection`, { protected: true });
  await call('PUT', `${aliases}/production`, {
    routes: [{ version: 1 }],
    shadow: null,
  });
  await call('PUT', '/v1/evaluation-sets/tickets', {
    description: 'Which queue a ticket belongs to',
    prompts: [
      {
        messages: [{ role: 'user', content: 'My parcel has not arrived' }],
        expected: 'shipping',
        match: 'contains',
      },
      {
        messages: [{ role: 'user', content: 'I was charged twice' }],
        expected: 'billing',
        match: 'contains',
      },
    ],
  });
  await call('POST', '/v1/hooks', {
    name: 'nightly',
    adapter: 'ticket-router',
    promote: { alias: 'staging', evaluate: { set: 'tickets', min_score: 0.9 } },
  });
  await call('POST', '/v1/admin/tenants', { name: 'acme' });
  await call('POST', '/v1/admin/keys', { name: 'Ada' });
  const models = ['lorikeet-demo', 'ticket-router', 'order-json'];
  for (let round = 0; round < 4; round += 1) {
    await Promise.all(
      models.map((model) =>
        call('POST', '/v1/chat/completions', {
          model,
          max_tokens: 24,
          messages: [{ role: 'user', content: `My parcel has not arrived (${round})` }],
        }),
      ),
    );
  }
}

/**
 * What a page shows once somebody has used it.
 * @param {string} name
 * @param {Page} page
 */
async function use(name, page) {
  if (name === 'playground') {
    await page.getByLabel('Message').fill('My parcel has not arrived');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(/completion tokens, first after/).waitFor();
  }
  if (name === 'compare') {
    await page.getByText('I was charged twice').first().waitFor();
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('status').getByText('of 2 right').first().waitFor();
    for (let answers = 0; answers < 4; ) {
      answers = await page.getByRole('button', { name: 'Expect this' }).count();
      await sleep(50);
    }
  }
}

/**
 * @param {string} url
 * @param {string} key
 * @param {string} folder
 */
async function takeAll(url, key, folder) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  for (const { name: view, ...options } of VIEWS) {
    const context = await browser.newContext({ ...options, locale: 'en-US', reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(`${url}/console/sign-in`);
    await page.getByLabel('API key').waitFor();
    await page.screenshot({ path: join(folder, `sign-in-${view}.png`) });
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('button', { name: 'Account' }).waitFor();
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(`${url}/console${path}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.waitForLoadState('networkidle', { timeout: 5_000 }).catch(() => undefined);
      await use(name, page).catch((error) => say(`${name}: ${String(error)}`));
      await page.screenshot({ path: join(folder, `${name}-${view}.png`) });
      say(`${name}-${view}.png`);
    }
    await context.close();
  }
  await browser.close();
}

await runCommand(async () => {
  const folder = resolve(process.argv[2] ?? inRepository('docs', 'console'));
  await mkdir(folder, { recursive: true });
  const dataDir = await mkdtemp(join(tmpdir(), 'lorikeet-screenshots-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const starter = spawn(process.execPath, [inRepository('scripts', 'start.mjs')], {
    env: { ...process.env, PORT: String(port), DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((done) => starter.once('exit', done));
  let printed = '';
  starter.stdout.on('data', (chunk) => {
    printed += String(chunk);
  });
  try {
    while (!printed.includes('Ctrl-C')) {
      if (starter.exitCode !== null) throw new StopError(`the demo did not start:\n${printed}`);
      await sleep(200);
    }
    const key = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim();
    await fill(callerOf(url, key));
    await takeAll(url, key, folder);
  } finally {
    if (starter.exitCode === null) starter.kill('SIGINT');
    await ended;
    await rm(dataDir, { recursive: true, force: true });
  }
  return 0;
});
