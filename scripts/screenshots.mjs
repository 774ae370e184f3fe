// `npm run screenshots [FOLDER]`: every page of the console in both themes and at a phone's width, as small PNGs.
// Starts the demo on a port of its own, fills it with something to look at, and leaves nothing behind.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { launchChromium, settled, withConsoleDemo } from './lib/console-demo.mjs';
import { runCommand } from './lib/main.mjs';
import { inRepository } from './lib/paths.mjs';
import { say } from './lib/print.mjs';

/** @typedef {import('playwright-core').Page} Page */

const VIEWS = [
  { name: 'light', colorScheme: /** @type {const} */ ('light'), viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: /** @type {const} */ ('dark'), viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: /** @type {const} */ ('light'), viewport: { width: 390, height: 844 } },
];

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
    await page.getByLabel('Prompt 2').waitFor();
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('status').getByText('of 2 right').first().waitFor();
    for (let answers = 0; answers < 4; ) {
      answers = await page.getByRole('button', { name: 'Expect this' }).count();
      await sleep(50);
    }
  }
}

/**
 * @param {{ url: string, key: string, pages: Readonly<Record<string, string>> }} demo
 * @param {string} folder
 */
async function takeAll({ url, key, pages }, folder) {
  const browser = await launchChromium();
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
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(`${url}/console${path}`);
      await settled(page);
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
  await withConsoleDemo((demo) => takeAll(demo, folder));
  return 0;
});
