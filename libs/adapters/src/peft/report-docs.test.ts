import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ADAPTER_ERROR_TABLE, ADAPTER_WARNING_TABLE } from '#contracts/adapter-report.js';
import { HONOURED_NOTES, HonouredFieldsSchema, IGNORED_FIELDS, REFUSED_FIELDS } from './fields.js';

const docs = readFileSync(new URL('../../../../docs/adapter-report.md', import.meta.url), 'utf8');

/** The rows of the table under a heading. */
function tableUnder(heading: string): string[] {
  const [, section = ''] = docs.split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  return own
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .sort();
}
const rows = (lines: string[]) => lines.sort();

describe('docs/adapter-report.md', () => {
  it('lists every error code', () => {
    const expected = Object.entries(ADAPTER_ERROR_TABLE).map(([code, text]) => `| \`${code}\` | ${text} |`);
    expect(tableUnder('Errors')).toEqual(rows(expected));
  });

  it('lists every warning code', () => {
    const expected = Object.entries(ADAPTER_WARNING_TABLE).map(([code, text]) => `| \`${code}\` | ${text} |`);
    expect(tableUnder('Warnings')).toEqual(rows(expected));
  });

  it('lists every field of adapter_config.json with what becomes of it', () => {
    const expected = [
      ...Object.entries(HONOURED_NOTES).map(([name, note]) => `| \`${name}\` | honoured | ${note} |`),
      ...Object.entries(REFUSED_FIELDS).map(
        ([name, { reason }]) => `| \`${name}\` | refused when set | ${reason} |`,
      ),
      ...Object.entries(IGNORED_FIELDS).map(([name, { reason }]) => `| \`${name}\` | ignored | ${reason} |`),
    ];
    expect(tableUnder('Fields')).toEqual(rows(expected));
  });
});

describe('the tables of fields', () => {
  it('hold every field once', () => {
    const names = [HonouredFieldsSchema.shape, REFUSED_FIELDS, IGNORED_FIELDS].flatMap((table) =>
      Object.keys(table),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  it('hold every field that PEFT 0.21 writes', () => {
    const path = new URL(
      '../../../../test/golden/cases/llama-gqa/adapters/qv-r8/adapter_config.json',
      import.meta.url,
    );
    const known = { ...HonouredFieldsSchema.shape, ...REFUSED_FIELDS, ...IGNORED_FIELDS };
    expect(Object.keys(known)).toEqual(
      expect.arrayContaining(Object.keys(JSON.parse(readFileSync(path, 'utf8')))),
    );
  });
});
