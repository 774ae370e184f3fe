import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../support/stack.js';

/* bench/device: what is copied to a machine with a card, here on the simulated driver. */

const SIMULATED = join(ROOT, 'build/native/libcuda_sim.so');

interface Line {
  readonly phase: string;
  readonly case?: string;
  readonly ok?: boolean;
  readonly status?: string;
}

describe.runIf(existsSync(SIMULATED))('the suite for a machine with a card', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-device-suite-'));
  const suite = join(folder, 'suite');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const bash = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    spawnSync('bash', args, { cwd: folder, env: { ...process.env, ...env }, encoding: 'utf8' });
  const run = (name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const out = join(folder, name);
    const { status, stdout } = bash([join(suite, 'run.sh'), '--dry', '--out', out, ...args], env);
    const text = readFileSync(join(out, 'results.jsonl'), 'utf8').trim();
    return { status, stdout, lines: text.split('\n').map((line) => JSON.parse(line) as Line) };
  };

  beforeAll(() => {
    const { status, stderr } = bash([join(ROOT, 'bench/device/build.sh'), suite]);
    if (status !== 0) throw new Error(stderr);
  });

  it('runs every phase, tells each case in a line of its own and all in a table', () => {
    const { status, stdout, lines } = run('whole', []);
    const phases = lines.flatMap(({ phase, status: ended }) => (ended === undefined ? [] : [[phase, ended]]));
    expect(Object.fromEntries(phases)).toMatchObject({
      probe: 'done',
      vectors: 'done',
      ceilings: 'done',
      conformance: 'done',
      invariance: 'done',
      kernels: 'done',
      sanitizer: 'skipped',
      transformers: 'skipped',
    });
    expect(lines.filter(({ ok }) => ok === false)).toEqual([]);
    const cases = (wanted: string) =>
      lines.filter(({ phase, case: name }) => phase === wanted && name !== undefined);
    expect(cases('vectors').length).toBe(6);
    expect(cases('ceilings').map(({ case: name }) => name)).toContain('node of a graph');
    expect(cases('kernels').map(({ case: name }) => name)).toContain('decode step of 2 layers, int4');
    for (const [phase = ''] of phases) expect(stdout).toMatch(new RegExp(`^${phase} `, 'm'));
    expect(status).toBe(0);
  });

  it('goes on after a phase that fails, leaves out what it is told to, and ends with 1', () => {
    const skipped = 'ceilings,conformance,invariance,kernels';
    const { status, lines } = run('failing', ['--skip', skipped], { LORIKEET_SIM_FAIL_LAUNCH: '3' });
    const ended = Object.fromEntries(lines.map((line) => [line.phase, line.status]));
    expect(ended).toMatchObject({ probe: 'done', vectors: 'failed', kernels: 'skipped' });
    expect(status).toBe(1);
  });
});
