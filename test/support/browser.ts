import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Debian's Chromium, without what it would ask the network for. */
export function launchBrowser(): Promise<Browser> {
  const executablePath = PROGRAMS.find((path) => existsSync(path));
  if (executablePath === undefined)
    throw new Error('the browser tests need Chromium (apt-get install chromium)');
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A person at the console. Faults of a page (exceptions, what its policy blocks) fail the test at `close`. */
export class Visitor {
  readonly faults: string[] = [];

  private constructor(
    readonly page: Page,
    private readonly context: BrowserContext,
    readonly url: string,
  ) {}

  static async open(
    browser: Browser,
    url: string,
    options: Parameters<Browser['newContext']>[0] = {},
  ): Promise<Visitor> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      locale: 'en-US',
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const visitor = new Visitor(page, context, url);
    page.on('pageerror', (error) => visitor.faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' && /Content Security Policy|Warning:/.test(message.text())) {
        visitor.faults.push(message.text());
      }
    });
    return visitor;
  }

  async signIn(key: string): Promise<void> {
    await this.go('/sign-in');
    await this.page.getByLabel('API key').fill(key);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.getByRole('button', { name: 'Account' }).waitFor();
  }

  /** By the provider of test/support/oidc.ts, on the way to a page. */
  async signInAtProvider(person: string, path: string): Promise<void> {
    await this.go(path);
    await this.page.getByRole('link', { name: 'Sign in with' }).click();
    await this.page.locator('input[name=login]').fill(person);
    await this.page.locator('input[name=password]').fill('any');
    await this.page.getByRole('button').first().click();
  }

  async go(path: string): Promise<void> {
    await this.page.goto(`${this.url}/console${path}`);
  }

  /** Goes there within the document, as by one of its links, and waits until the page shows what it has. */
  async walk(path: string): Promise<void> {
    await this.page.evaluate((to) => window.history.pushState(null, '', to), `/console${path}`);
    await this.page.waitForFunction(
      (address) => document.querySelector('main')?.dataset.address === address,
      path,
    );
    await this.settled();
  }

  /** The page's own word for it: nothing in it is busy or moves. A live stream is none of that. */
  async settled(): Promise<void> {
    await this.page.waitForFunction(
      () =>
        document.querySelector('h1') !== null &&
        document.querySelector('[aria-busy="true"]') === null &&
        document.getAnimations().length === 0,
    );
  }

  /**
   * What axe-core finds that is serious or worse, as `rule: where`; of one rule where the others cannot differ.
   * Colours of what still fades in or out are nobody's fault: what is found has to be there when nothing moves any more.
   */
  async seriousFaults(onlyRule?: string): Promise<string[]> {
    const loaded = await this.page.evaluate(() => 'axe' in globalThis);
    // Not as a script element: the page's policy lets none of another origin in.
    if (!loaded) await this.page.evaluate(await readFile(AXE, 'utf8'));
    let faults: string[] = [];
    for (let look = 0; look < LOOKS; look += 1) {
      await this.atRest();
      faults = await this.faultsNow(onlyRule);
      if (faults.length === 0) break;
      await this.page.waitForTimeout(LOOK_AGAIN_MS);
    }
    return faults;
  }

  private async atRest(): Promise<void> {
    await this.page.waitForFunction(
      () =>
        document.querySelector('[aria-busy="true"]') === null &&
        document.getAnimations().every(({ playState }) => playState !== 'running'),
    );
  }

  private async faultsNow(onlyRule: string | undefined): Promise<string[]> {
    const { violations } = await this.page.evaluate(
      (rule) =>
        (globalThis as unknown as Axe).axe.run({
          resultTypes: ['violations'],
          ...(rule === undefined ? {} : { runOnly: [rule] }),
        }),
      onlyRule,
    );
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  }

  async close(): Promise<void> {
    await this.context.close();
    if (this.faults.length > 0) throw new Error(`the page had faults:\n${this.faults.join('\n')}`);
  }
}

/** A dialog of Mantine's fades by timers of its own; between two of them no animation runs. */
const LOOKS = 10;
const LOOK_AGAIN_MS = 300;

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
interface Axe {
  readonly axe: { run(options: object): Promise<{ violations: Violation[] }> };
}

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}
