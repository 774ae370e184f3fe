// `npm run console-speed`: how long each page of the console takes on a slow machine, as a table. The browser's CPU is slowed
// down four times (Chrome's own measure for a phone of the middle), the network is this machine's.
import { launchChromium, withConsoleDemo } from './lib/console-demo.mjs';
import { runCommand } from './lib/main.mjs';
import { say } from './lib/print.mjs';

const SLOWER = 4;
const RUNS = 3;

/** @typedef {{ interactive_ms: number, settled_ms: number, blocked_ms: number }} Times */

/** In the page, before its own scripts: notes when it can be used, when it shows all it has, and how long it did not react. */
function watch() {
  const times = { interactive_ms: 0, settled_ms: 0, blocked_ms: 0 };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let tell;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) times.blocked_ms += Math.max(0, duration - 50);
  }).observe({ type: 'longtask', buffered: true });
  const look = () => {
    const titled = document.querySelector('h1') !== null;
    // The page's links and buttons are there and take clicks.
    if (titled && times.interactive_ms === 0) times.interactive_ms = performance.now();
    if (!titled || document.querySelector('[aria-busy="true"]')) {
      times.settled_ms = 0;
      clearTimeout(tell);
    } else if (times.settled_ms === 0) {
      times.settled_ms = performance.now();
      tell = setTimeout(() => /** @type {any} */ (globalThis).consoleShown(JSON.stringify(times)), 500);
    }
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
}

/**
 * @param {import('playwright-core').BrowserContext} context
 * @param {string} address
 * @returns {Promise<Times>}
 */
async function measure(context, address) {
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
  await page.addInitScript(watch);
  // The page calls us: to ask it would run our own script in it while it loads.
  await cdp.send('Runtime.enable');
  await cdp.send('Runtime.addBinding', { name: 'consoleShown' });
  /** @type {Promise<Times>} */
  const shown = new Promise((done) => {
    cdp.on('Runtime.bindingCalled', ({ name, payload }) => {
      if (name === 'consoleShown') done(JSON.parse(payload));
    });
  });
  await page.goto(address, { waitUntil: 'commit' });
  const times = await shown;
  await page.close();
  return times;
}

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

await runCommand(async () => {
  await withConsoleDemo(async ({ url, key, pages }) => {
    const browser = await launchChromium();
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-US' });
    const page = await context.newPage();
    await page.goto(`${url}/console/sign-in`);
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('button', { name: 'Account' }).waitFor();
    await page.close();
    say('| page | interactive, ms | all shown, ms | not reacting, ms |\n| --- | --- | --- | --- |');
    for (const [name, path] of Object.entries(pages)) {
      /** @type {Times[]} */
      const runs = [];
      for (let run = 0; run < RUNS; run += 1) runs.push(await measure(context, `${url}/console${path}`));
      /** @param {keyof Times} time */
      const of = (time) => Math.round(median(runs.map((each) => each[time])));
      say(`| ${name} | ${of('interactive_ms')} | ${of('settled_ms')} | ${of('blocked_ms')} |`);
    }
    await browser.close();
  });
  return 0;
});
