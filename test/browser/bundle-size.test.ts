import { randomBytes } from 'node:crypto';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { APP, filesOf, FIRST_LOAD_LIMIT_BYTES, firstLoads } from '../../scripts/lib/bundle-size.mjs';
import { ROOT } from '../support/stack.js';

const BUILT = join(ROOT, 'build/console');
type Manifest = Parameters<typeof filesOf>[0];

describe('the built console', () => {
  it('loads at most 250 kB after gzip before any page can be used', () => {
    const pages = firstLoads(BUILT);
    expect(pages.length).toBeGreaterThan(10);
    expect(FIRST_LOAD_LIMIT_BYTES).toBe(250_000);
    expect(pages.filter(({ bytes }) => bytes > FIRST_LOAD_LIMIT_BYTES)).toEqual([]);
  });

  it('names in its document all that every page needs, so that none of it waits for another file', async () => {
    const html = await readFile(join(BUILT, 'index.html'), 'utf8');
    const manifest = JSON.parse(await readFile(join(BUILT, '.vite/manifest.json'), 'utf8')) as Manifest;
    const needed = [...filesOf(manifest, 'index.html', APP)];
    expect(needed.length).toBeGreaterThan(4);
    expect(needed.filter((file) => !html.includes(`"/console/${file}"`))).toEqual([]);
  });

  it('begins with a small file, and lets the browser compile each one while it comes', async () => {
    const manifest = JSON.parse(await readFile(join(BUILT, '.vite/manifest.json'), 'utf8')) as Manifest;
    const scripts = (sources: readonly string[]): Promise<string[]> =>
      Promise.all(
        [...filesOf(manifest, ...sources)]
          .filter((file) => file.endsWith('.js'))
          .map((file) => readFile(join(BUILT, file), 'utf8')),
      );
    const entry = await scripts(['index.html']);
    expect(entry.join('').length).toBeLessThan(15_000);
    for (const script of await scripts(Object.keys(manifest).filter((source) => source.endsWith('.tsx'))))
      expect(script.startsWith('//# allFunctionsCalledOnLoad\n')).toBe(true);
  });
});

describe('what a first load is', () => {
  it('is the entry, the app, the page, what they import, and their styles, each once', async () => {
    const manifest = {
      'index.html': {
        file: 'a/index.js',
        isEntry: true,
        imports: ['_shared.js'],
        css: ['a/index.css'],
        dynamicImports: [APP, 'page.tsx'],
      },
      [APP]: { file: 'a/app.js', imports: ['_shared.js'] },
      '_shared.js': { file: 'a/shared.js' },
      'page.tsx': { file: 'a/page.js', imports: ['_shared.js', '_chart.js'], css: ['a/page.css'] },
      '_chart.js': { file: 'a/chart.js', imports: ['page.tsx'] },
    };
    expect([...filesOf(manifest, 'page.tsx')].toSorted()).toEqual([
      'a/chart.js',
      'a/page.css',
      'a/page.js',
      'a/shared.js',
    ]);
    const folder = await mkdtemp(join(tmpdir(), 'lorikeet-bundle-'));
    await mkdir(join(folder, '.vite'));
    await mkdir(join(folder, 'a'));
    await writeFile(join(folder, '.vite/manifest.json'), JSON.stringify(manifest));
    await writeFile(join(folder, 'index.html'), '');
    const noise = randomBytes(20_000); // does not get smaller
    for (const name of ['index.js', 'index.css', 'app.js', 'shared.js', 'page.js', 'page.css', 'chart.js'])
      await writeFile(join(folder, 'a', name), noise);
    const [page] = firstLoads(folder);
    await rm(folder, { recursive: true });
    expect(page?.page).toBe('page.tsx');
    expect((page?.bytes ?? 0) / (page?.own_bytes ?? 1)).toBeCloseTo(7 / 3, 1);
  });
});
