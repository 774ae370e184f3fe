import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ENFORCED_FORMATS, REFUSED_FORMATS } from './formats.js';
import { ENFORCED_KEYWORDS, IGNORED_KEYWORDS, REFUSED_KEYWORDS } from './keywords.js';

const page = readFileSync(new URL('../../../../docs/structured-output.md', import.meta.url), 'utf8');
/** Line ends of a paragraph are spaces. */
const prose = page.replaceAll(/(?<!\n)\n(?!\n)/g, ' ');
const names = (list: readonly string[]) => list.map((name) => `\`${name}\``).join(', ');
const rows = (keywords: Readonly<Record<string, string>>) =>
  Object.entries(keywords)
    .map(([keyword, note]) => `| \`${keyword}\` | ${note} |\n`)
    .join('');

describe('docs/structured-output.md', () => {
  it('lists the keywords as the code treats them', () => {
    expect(page).toContain(`| --- | --- |\n${rows(ENFORCED_KEYWORDS)}\n`);
    expect(page).toContain(`| --- | --- |\n${rows(REFUSED_KEYWORDS)}\n`);
    expect(prose).toContain(`not in a list: ${names(IGNORED_KEYWORDS)}.`);
  });

  it('lists the formats as the code treats them', () => {
    expect(prose).toContain(`Formats that are enforced: ${names(ENFORCED_FORMATS)}.`);
    expect(prose).toContain(`Refused: ${names(REFUSED_FORMATS)}.`);
  });
});
