import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, Visitor } from '../support/browser.js';
import { type Stack, startStack } from '../support/stack.js';

let stack: Stack;
let browser: Browser;
let visitor: Visitor;

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack({ env: { PARITY_CHECK: 'off' } }), launchBrowser()]);
  visitor = await Visitor.open(browser, stack.url);
  await visitor.signIn(stack.adminKey);
});
afterAll(async () => {
  await visitor?.close();
  await browser?.close();
  await stack?.stop();
});

const SESSION = '/v1/session';
const PAGE_FILE = '/console/assets/settings-';
const LIBRARIES = /\/console\/assets\/(react|common|app)-/;

/** In a tab of its own, where nothing is in any cache while requests are held. */
async function inTab<T>(work: (page: Page) => Promise<T>): Promise<T> {
  const page = await visitor.page.context().newPage();
  try {
    return await work(page);
  } finally {
    await page.close();
  }
}

/** In the page, before its scripts: notes each state of the view that is neither the opening nor a page with its title. */
function noteUnfinished(): void {
  const unfinished: string[] = [];
  Object.assign(globalThis, { unfinished });
  new MutationObserver(() => {
    const root = document.getElementById('root');
    if (!root || root.childElementCount === 0 || root.querySelector('.opening, h1')) return;
    unfinished.push(root.innerHTML.slice(0, 500));
  }).observe(document, { subtree: true, childList: true });
}

const idle = (page: Page): Promise<unknown> =>
  page.evaluate(() => new Promise((done) => requestIdleCallback(done)));

describe('the first view of a page', () => {
  it('has asked who looks, and for the page, before any library has come', async () => {
    await inTab(async (page) => {
      const early = [SESSION, PAGE_FILE].map((part) =>
        page.waitForRequest((request) => request.url().includes(part)),
      );
      let held = 0;
      // Whoever asks for these two only once the libraries run waits for ever.
      await page.route(LIBRARIES, async (route) => {
        held += 1;
        await Promise.all(early);
        await route.continue();
      });
      await page.goto(`${stack.url}/console/settings`);
      await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
      expect(held).toBe(3);
    });
  });

  for (const [what, last] of [
    ['who looks', SESSION],
    ['the page', PAGE_FILE],
  ] as const) {
    it(`is drawn once, whole, when ${what} comes last`, async () => {
      await inTab(async (page) => {
        await page.addInitScript(noteUnfinished);
        let release = (): void => undefined;
        const released = new Promise<void>((done) => {
          release = done;
        });
        await page.route(`**${last}*`, async (route) => {
          await released;
          await route.continue();
        });
        const others = [LIBRARIES, new RegExp(last === SESSION ? PAGE_FILE : `${SESSION}$`)];
        const came = others.map((url) => page.waitForResponse((response) => url.test(response.url())));
        await page.goto(`${stack.url}/console/settings`, { waitUntil: 'commit' });
        await Promise.all(came);
        await page.waitForLoadState('load');
        await idle(page);
        expect(await page.locator('.opening').count()).toBe(1);
        release();
        await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
        const unfinished = await page.evaluate(
          () => (globalThis as unknown as { unfinished: readonly string[] }).unfinished,
        );
        expect(unfinished).toEqual([]);
      });
    });
  }

  it('says that the API does not answer, and goes on when it does', async () => {
    await inTab(async (page) => {
      await page.route(`**${SESSION}`, (route) => route.abort());
      await page.goto(`${stack.url}/console/settings`);
      await page.getByRole('alert').getByText('unreachable').waitFor();
      await page.unroute(`**${SESSION}`);
      expect(await page.getByRole('heading', { level: 1 }).count()).toBe(0);
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
    });
  });
});

describe('the frame of a page', () => {
  it('opens the menu at the first click, and gives the focus back', async () => {
    const { page } = visitor;
    await visitor.go('/settings');
    await page.getByRole('button', { name: 'Account' }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).waitFor();
    expect(await visitor.seriousFaults()).toEqual([]);
    await page.getByRole('menuitemradio', { name: 'As the system', checked: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('menuitem', { name: 'Sign out' }).waitFor({ state: 'detached' });
    const focused = (): Promise<string | null | undefined> =>
      page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    await expect.poll(focused).toBe('Account');
  });

  it('opens the palette by keys, and goes where it is told', async () => {
    const { page } = visitor;
    await visitor.go('/settings');
    await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByLabel('Page or adapter').fill('engi');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Engines', level: 1 }).waitFor();
    expect(page.url()).toMatch(/\/engines$/);
  });

  it('finds a tenant by a few letters, keeps it from page to page, and lets it go', async () => {
    const { page } = visitor;
    await visitor.go('/adapters');
    await page.getByRole('combobox', { name: 'Tenant' }).click();
    await page.getByRole('option', { name: 'demo' }).waitFor();
    await page.keyboard.type('dem');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'ticket-router' }).waitFor();
    await page.getByRole('link', { name: 'Usage and cost' }).click();
    await page.waitForURL(/usage\?tenant=demo$/);
    await page.reload();
    await page.getByRole('button', { name: 'No tenant' }).click();
    await expect.poll(() => page.url()).toMatch(/usage$/);
  });
});
