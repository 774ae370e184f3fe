// The demo on a port of its own, filled with something to look at, for what looks at the console.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { inRepository } from './paths.mjs';
import { StopError } from './stop-error.mjs';

/**
 * Every page, by a name for its file.
 * @param {{ move: string, merge: string }} made what the demo was filled with, by ids
 */
const pagesOf = ({ move, merge }) => ({
  overview: '/',
  adapters: '/adapters?tenant=demo',
  adapter: '/adapters/ticket-router?tenant=demo',
  aliases: '/adapters/ticket-router?tenant=demo&tab=aliases',
  version: '/adapters/ticket-router/versions/1?tenant=demo',
  upload: '/upload?tenant=demo',
  playground: '/playground?tenant=demo&model=ticket-router',
  compare: '/compare?tenant=demo&set=tickets&models=lorikeet-demo,ticket-router',
  derive: '/upload?tenant=demo&from=versions&of=ticket-router@1',
  moves: '/moves?tenant=demo',
  move: `/moves/${move}?tenant=demo`,
  merges: '/merges?tenant=demo',
  merge: `/merges/${merge}?tenant=demo`,
  'fine-tune': '/fine-tune?tenant=demo',
  requests: '/requests?tenant=demo',
  usage: '/usage?tenant=demo',
  engines: '/engines',
  tenants: '/tenants',
  tenant: '/tenants/demo',
  jobs: '/jobs',
  audit: '/audit',
  maintenance: '/maintenance',
  settings: '/settings',
});

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
   * @returns {Promise<any>} what it answers, as JSON
   */
  return async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        'x-tenant': 'demo',
        ...(body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
    if (response.ok) return response.status === 204 ? undefined : response.json();
    throw new StopError(`${method} ${path}: ${response.status} ${await response.text()}`);
  };
}

/** A demo adapter's files as an upload. @param {string} adapter */
async function folderForm(adapter) {
  const form = new FormData();
  for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
    const bytes = await readFile(inRepository('models', 'demo', 'adapters', adapter, name));
    form.append('files', new Blob([bytes]), name);
  }
  return form;
}

/** A canary with its guard, and a protected alias with a change that waits. @param {ReturnType<typeof callerOf>} call */
async function moveTraffic(call) {
  const aliases = '/v1/adapters/ticket-router/aliases';
  await call('POST', '/v1/adapters/ticket-router/versions?wait=60', await folderForm('order-json'));
  await call('PUT', `${aliases}/production`, { routes: [{ version: 1 }] });
  await call('PUT', `${aliases}/production`, {
    routes: [
      { version: 1, weight: 90 },
      { version: 2, weight: 10 },
    ],
    guard: { max_error_rate: 0.05, min_requests: 20, window_s: 3600 },
  });
  await call('PUT', `${aliases}/staging`, { routes: [{ version: 1 }] });
  await call('PUT', `${aliases}/staging/protection`, { protected: true });
  await call('PUT', `${aliases}/staging`, { routes: [{ version: 2 }] });
}

/** Chats with the base and two adapters. @param {ReturnType<typeof callerOf>} call */
async function ask(call) {
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
 * Something on every page: aliases that share traffic, a set, a hook, a move, a merge, a version of other versions, requests.
 * @param {ReturnType<typeof callerOf>} call
 * @returns {Promise<{ move: string, merge: string }>} their ids
 */
async function fill(call) {
  await moveTraffic(call);
  await call('PUT', '/v1/request-log', { enabled: true, text: true, retention_hours: 168 });
  const price = { prompt_per_million: 0.4, completion_per_million: 1.6 };
  await call('PUT', '/v1/admin/prices', price);
  await call('POST', '/v1/admin/tenants/demo/budgets', {
    amount: 50,
    period: 'month',
    alert_shares: [0.5, 1],
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
  const move = await call('POST', '/v1/base-moves', {});
  const merge = await call('POST', '/v1/adapters/ticket-router/versions/1/merges', {});
  await call('POST', '/v1/adapters/blend/versions?create=true&wait=60', {
    derive: {
      operation: 'compose',
      method: 'svd',
      rank: 8,
      inputs: [
        { version: 'ticket-router@1', weight: 0.7 },
        { version: 'order-json@1', weight: 0.3 },
      ],
    },
  });
  await call('POST', '/v1/admin/tenants', { name: 'acme' });
  await call('POST', '/v1/admin/keys', { name: 'Ada' });
  await ask(call);
  for (let state = ''; !['ready', 'failed'].includes(state); await sleep(200))
    ({ state } = await call('GET', `/v1/merges/${merge.id}`));
  return { move: move.id, merge: merge.id };
}

/**
 * Starts it, fills it, does the work, and leaves nothing behind.
 * @param {(demo: { url: string, key: string, pages: ReturnType<typeof pagesOf> }) => Promise<void>} work
 */
export async function withConsoleDemo(work) {
  const dataDir = await mkdtemp(join(tmpdir(), 'lorikeet-console-'));
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
    const call = callerOf(url, key);
    const pages = pagesOf(await fill(call));
    await work({ url, key, pages });
  } finally {
    if (starter.exitCode === null) starter.kill('SIGINT');
    await ended;
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** The installed Chromium, as the tests start it. @returns {Promise<import('playwright-core').Browser>} */
export function launchChromium() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  });
}

/** Until the page shows what it has: nothing in it is busy. @param {import('playwright-core').Page} page */
export async function settled(page) {
  await page.waitForFunction(
    () => document.querySelector('h1') !== null && document.querySelector('[aria-busy="true"]') === null,
  );
}
