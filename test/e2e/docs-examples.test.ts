import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, makeTenant } from '../support/client.js';
import { DEMO_FOLDER } from '../support/demo.js';
import { ROOT, type Stack, startStack } from '../support/stack.js';

const run = promisify(execFile);
const ADAPTER = join(DEMO_FOLDER, 'adapters/ticket-router');
/** What the other end-to-end tests run: the two commands of the README. */
const RUN_ELSEWHERE = /^npm (start|test)\n$/;

interface Example {
  readonly text: string;
  /** Why it is not run: what stands before it as `<!-- not run by tests: ... -->`. */
  readonly notRun: string | undefined;
}

/** The shell examples of a page, in order. */
function examplesOf(page: string): Example[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [
    ...text.matchAll(/(?:<!-- not run by tests: ([^\n]*) -->\n)?```(?:sh|bash|console)\n(.*?)```/gs),
  ].flatMap(([, notRun, example = '']) => (RUN_ELSEWHERE.test(example) ? [] : [{ text: example, notRun }]));
}
const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

describe("the documentation's examples, as a reader would paste them", () => {
  let stack: Stack;
  let folder: string;
  beforeAll(async () => {
    stack = await startStack();
    folder = mkdtempSync(join(tmpdir(), 'lorikeet docs '));
    cpSync(ADAPTER, join(folder, 'support-bot'), { recursive: true });
  });
  afterAll(async () => {
    await stack?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const tenant = (name: string) => makeTenant(stack.url, stack.adminKey, name);

  /** What a page takes as given: variables, a place, and what is there already. */
  const GIVEN: Readonly<Record<string, () => Promise<{ env: Record<string, string>; cwd: string }>>> = {
    'README.md': async () => ({ env: { LORIKEET: stack.url, OPERATOR_KEY: stack.adminKey }, cwd: ROOT }),
    'docs/tutorial.md': async () => ({
      env: { LORIKEET_URL: stack.url, LORIKEET_API_KEY: stack.adminKey },
      cwd: ROOT,
    }),
    'docs/adapters.md': async () => {
      const owner = await tenant('adapters-page');
      await tenant('globex');
      for (let i = 0; i < 2; i += 1) await owner.uploadFolder('support-bot', ADAPTER);
      return { env: { URL: stack.url, KEY: owner.key }, cwd: ADAPTER };
    },
    'docs/imports.md': async () => ({
      env: { URL: stack.url, KEY: (await tenant('imports-page')).key },
      cwd: ADAPTER,
    }),
    'docs/cli.md': async () => {
      const owner = await tenant('cli-page');
      await owner.uploadFolder('support-bot', ADAPTER);
      return { env: { LORIKEET_URL: stack.url, LORIKEET_API_KEY: owner.key }, cwd: folder };
    },
  };

  /** Runs a page from top to bottom in one shell; a refused request is a failure. */
  async function runPage(page: string): Promise<string> {
    const given = await GIVEN[page]?.();
    if (!given) throw new Error(`${page}: say in GIVEN what its examples need, or mark them as not run`);
    const program = join(ROOT, 'apps/cli/lorikeet.mjs');
    const prelude = `curl() { command curl --fail-with-body "$@"; }
      npx() { shift; "${process.execPath}" "${program}" "$@"; }`;
    const script = examplesOf(page).flatMap(({ text, notRun }) => (notRun === undefined ? [text] : []));
    const env = { ...process.env, HOME: folder, ...given.env };
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', [prelude, ...script].join('\n')], {
      cwd: given.cwd,
      env,
      maxBuffer: 2 ** 24,
    }).catch((error: unknown) => {
      const { stdout: out, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${page} fails:\n${stderr}\n${out.slice(-2000)}`, { cause: error });
    });
    return stdout;
  }

  it.each(pages.filter((page) => examplesOf(page).some(({ notRun }) => notRun === undefined)))(
    '%s',
    async (page) => {
      expect((await runPage(page)).length).toBeGreaterThan(0);
    },
  );

  it('have made what the README and the tutorial promise', async () => {
    const admin = (name: string) => new Client(stack.url, stack.adminKey, { 'x-tenant': name });
    expect(await admin('acme').expect(200, 'GET', '/v1/adapters/tickets/versions/1')).toMatchObject({
      state: 'ready',
    });
    const alias = await admin('shop').expect(200, 'GET', '/v1/adapters/tickets/aliases/production');
    expect(alias).toMatchObject({
      routes: [
        { version: 1, weight: 90 },
        { version: 2, weight: 10 },
      ],
    });
  });
});
