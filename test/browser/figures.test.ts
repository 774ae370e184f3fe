import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, Visitor } from '../support/browser.js';
import { Client, makeTenant } from '../support/client.js';
import { descendants } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';

let stack: Stack;
let browser: Browser;
let acme: Client;
beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), launchBrowser()]);
  acme = await makeTenant(stack.url, stack.adminKey, 'acme');
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

const ask = () =>
  acme.expect(200, 'POST', '/v1/completions', { model: 'lorikeet-demo', prompt: 'A parcel', max_tokens: 8 });

/** The number in front of a note such as `3 in the last minute`. */
const endedLately = async ({ page }: Visitor) =>
  Number.parseInt(await page.getByText(/in the last minute$/).innerText(), 10);

describe('live figures', () => {
  it('move under load, and go on after the API was killed, without a reload', async () => {
    const visitor = await Visitor.open(browser, stack.url);
    const { page } = visitor;
    await visitor.signIn(stack.adminKey);
    const live = page.getByRole('region', { name: 'Live figures' });
    await live.getByText('live', { exact: true }).waitFor();
    await page.evaluate(() => Object.assign(globalThis, { sameDocument: true }));
    const before = await endedLately(visitor);
    for (let index = 0; index < 3; index += 1) await ask();
    await expect.poll(() => endedLately(visitor)).toBeGreaterThan(before);
    await live.getByRole('img', { name: /Requests and errors per second over the last/ }).waitFor();
    expect(await live.getByText('model_not_found').count()).toBe(0);
    expect((await acme.call('POST', '/v1/completions', { model: 'nobody', prompt: 'x' })).status).toBe(404);
    await live.getByText('model_not_found').waitFor();

    const api = descendants(stack.starter.pid ?? 0).find(({ command }) =>
      command.includes('apps/api/src/main'),
    );
    process.kill(api?.pid ?? Number.NaN, 'SIGKILL');
    await live.getByText('connecting', { exact: true }).waitFor();
    await live.getByText('live', { exact: true }).waitFor();
    await expect
      .poll(
        () =>
          ask().then(
            () => true,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
    await expect.poll(() => endedLately(visitor)).toBeGreaterThan(0);
    expect(await page.evaluate(() => 'sameDocument' in globalThis)).toBe(true);
    // What the killed process had counted is in the charts of the new one.
    await page.getByRole('img', { name: 'Requests and errors per second', exact: true }).waitFor();
    const { data } = await new Client(stack.url, stack.adminKey).expect<{ data: { requests: number }[] }>(
      200,
      'GET',
      '/v1/admin/history?step=1d&tenant=acme',
    );
    expect(data.reduce((sum, { requests }) => sum + requests, 0)).toBeGreaterThanOrEqual(5);
    await visitor.close();
  });
});

describe('cost', () => {
  it('is priced, and a budget of it alerts at its shares', async () => {
    const visitor = await Visitor.open(browser, stack.url);
    const { page } = visitor;
    await visitor.signIn(stack.adminKey);
    await visitor.go('/usage?tenant=acme');
    await page.getByRole('button', { name: 'Set price' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('A million completion tokens').fill('1000000');
    await dialog.getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByRole('region', { name: 'Prices' }).getByText('1,000,000.00 USD').first().waitFor();

    await page.getByRole('button', { name: 'New budget' }).click();
    await dialog.getByLabel('Amount').fill('10');
    await dialog.getByRole('button', { name: 'Create' }).click();
    const budgets = page.getByRole('region', { name: 'Budgets' }).first();
    await budgets.getByText('0.00 USD of 10.00 USD').waitFor();
    expect(await budgets.getByText(/reached/).count()).toBe(0);
    await ask(); // eight tokens
    await budgets.getByText('8.00 USD of 10.00 USD').waitFor();
    await budgets.getByText('80.0 % reached').waitFor();
    expect(await visitor.seriousFaults()).toEqual([]);
    await visitor.close();
  });
});

describe('requests', () => {
  it('are kept where the tenant wants it, come into the live tail, and are replayed in the playground', async () => {
    const visitor = await Visitor.open(browser, stack.url);
    const { page } = visitor;
    await visitor.signIn(stack.adminKey);
    await visitor.go('/requests?tenant=acme');
    await page.getByText('not kept', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Keep requests' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/Keep model, times/).check();
    await dialog.getByLabel('Keep prompts and answers too').check();
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText('kept for 168 hours, with prompts and answers').waitFor();

    await page.getByRole('switch', { name: 'Live tail' }).click();
    const tail = page.getByRole('region', { name: 'Live tail' });
    await tail.getByText('No request has come yet.').waitFor();
    await ask();
    await tail.getByRole('button', { name: 'lorikeet-demo' }).click();
    await dialog.getByText('A parcel', { exact: true }).waitFor();
    expect(await visitor.seriousFaults()).toEqual([]);
    await dialog.getByRole('link', { name: 'Replay in the playground' }).click();
    await expect.poll(() => page.getByLabel('Prompt').inputValue()).toBe('A parcel');
    await visitor.close();
  });
});
