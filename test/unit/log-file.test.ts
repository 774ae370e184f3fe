import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { openLog } from '../../scripts/lib/log-file.mjs';

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-log-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = (name: string) => statSync(join(folder, name)).size;

it('moves a log aside while its server writes, and keeps so many files', () => {
  const write = openLog(join(folder, 'api.log'), { maxBytes: 1_000, files: 3 });
  for (let i = 0; i < 200; i++) write(`line ${i} ${'x'.repeat(90)}`);
  expect(readdirSync(folder).sort()).toEqual(['api.log', 'api.log.1', 'api.log.2']);
  for (const name of readdirSync(folder)) expect(bytesOf(name)).toBeLessThanOrEqual(1_000);
  const kept = ['api.log.2', 'api.log.1', 'api.log'].flatMap((name) =>
    readFileSync(join(folder, name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.split(' ')[1])),
  );
  expect(kept).toEqual(kept.map((_, i) => 200 - kept.length + i)); // the newest, none missing
});

it('counts what an earlier start wrote, and cuts a line that is too long', () => {
  const path = join(folder, 'api.log');
  openLog(path, { maxBytes: 30_000, files: 2 })('x'.repeat(1_000_000));
  expect(bytesOf('api.log')).toBeLessThan(17_000);
  openLog(path, { maxBytes: 30_000, files: 2 })('y'.repeat(15_000));
  expect(readdirSync(folder).sort()).toEqual(['api.log', 'api.log.1']);
  expect(readFileSync(path, 'utf8')).toMatch(/^y+\n$/);
});

it('keeps one file where one is wanted', () => {
  const write = openLog(join(folder, 'api.log'), { maxBytes: 100, files: 1 });
  for (let i = 0; i < 20; i++) write('x'.repeat(30));
  expect(readdirSync(folder)).toEqual(['api.log']);
  expect(bytesOf('api.log')).toBeLessThanOrEqual(100);
});
