import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { ROOT } from '../support/stack.js';

const exec = promisify(execFile);
/** Of the processor alone: what other programs take of it does not count. */
const START_CPU_MS = 500;

let folder: string;
let program: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-cli-package-'));
  const { stdout } = await exec(process.execPath, [join(ROOT, 'scripts/pack-cli.mjs'), folder]);
  const archive = stdout.trim().split('\n').at(-1) ?? '';
  const place = join(folder, 'installed');
  await exec('npm', ['install', '--prefix', place, '--offline', '--no-audit', '--no-fund', archive]);
  program = join(place, 'node_modules/.bin/lorikeet');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the npm package of the command', () => {
  it('installs alone and says its version', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect((await exec(program, ['--version'])).stdout).toBe(`${version}\n`);
    expect(
      (await readdir(join(folder, 'installed/node_modules'))).filter((name) => !name.startsWith('.')),
    ).toEqual(['lorikeet-cli']);
  });

  it('starts quickly', async () => {
    const measured = `${program.replaceAll("'", '')} --version >/dev/null; times`;
    const starts: number[] = [];
    // The best of three: files that are read for the first time, and a core that is shared, cost others.
    for (let start = 0; start < 3; start += 1) {
      const { stdout } = await exec('bash', ['-c', measured]);
      const [, children = ''] = stdout.trim().split('\n');
      const seconds = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map(
        ([, m, s]) => Number(m) * 60 + Number(s),
      );
      starts.push(seconds.reduce((sum, each) => sum + each, 0) * 1000);
    }
    expect(Math.min(...starts)).toBeLessThan(START_CPU_MS);
  });

  it('reaches a server', async () => {
    const platform = await Platform.start({ worker: false });
    try {
      const env = { ...process.env, LORIKEET_URL: platform.url, LORIKEET_API_KEY: ADMIN_KEY };
      expect((await exec(program, ['status'], { env })).stdout).toMatch(/engines +1 of 1 ready/);
    } finally {
      await platform.close();
    }
  });
});
