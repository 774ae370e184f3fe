// `node scripts/bundle-size.mjs`: what each page of the built console loads at first, after gzip; fails beyond the limit.
import { FIRST_LOAD_LIMIT_BYTES, firstLoads } from './lib/bundle-size.mjs';
import { runCommand } from './lib/main.mjs';
import { inRepository } from './lib/paths.mjs';
import { say } from './lib/print.mjs';

/** @param {number} bytes */
const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);

await runCommand(async () => {
  const pages = firstLoads(inRepository('build', 'console'));
  for (const { page, bytes, own_bytes } of pages) say(`${kB(bytes)}  ${kB(own_bytes)} of its own  ${page}`);
  const over = pages.filter(({ bytes }) => bytes > FIRST_LOAD_LIMIT_BYTES);
  say(`${pages.length} pages; the limit is ${kB(FIRST_LOAD_LIMIT_BYTES).trim()} after gzip`);
  return over.length === 0 ? 0 : 1;
});
