import { randomBytes } from 'node:crypto';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesOf, FIRST_LOAD_LIMIT_BYTES, firstLoads } from '../../scripts/lib/bundle-size.mjs';
import { ROOT } from '../support/stack.js';

describe('the built console', () => {
  it('loads at most 250 kB after gzip before any page can be used', () => {
    const pages = firstLoads(join(ROOT, 'build/console'));
    expect(pages.length).toBeGreaterThan(10);
    expect(FIRST_LOAD_LIMIT_BYTES).toBe(250_000);
    expect(pages.filter(({ bytes }) => bytes > FIRST_LOAD_LIMIT_BYTES)).toEqual([]);
  });
});

describe('what a first load is', () => {
  it('is the entry, the page, what both import, and their styles, each once', async () => {
    const manifest = {
      'index.html': {
        file: 'a/index.js',
        isEntry: true,
        imports: ['_shared.js'],
        css: ['a/index.css'],
        dynamicImports: ['page.tsx'],
      },
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
    for (const name of ['index.js', 'index.css', 'shared.js', 'page.js', 'page.css', 'chart.js'])
      await writeFile(join(folder, 'a', name), noise);
    const [page] = firstLoads(folder);
    await rm(folder, { recursive: true });
    expect(page?.page).toBe('page.tsx');
    expect((page?.bytes ?? 0) / (page?.own_bytes ?? 1)).toBeCloseTo(2, 1);
  });
});
