import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAudit } from '../../scripts/lib/advisories.mjs';
import { makeSbom } from '../../scripts/lib/sbom.mjs';
import { ROOT } from '../support/stack.js';

describe('npm run sbom', () => {
  it('lists every production package at its locked version, and what is compiled in or bundled', async () => {
    const sbom = await makeSbom();
    expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'lorikeet' } } });
    const listed = new Set(sbom.components.map(({ name, version }) => `${String(name)}@${String(version)}`));
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const [name, version] of Object.entries(dependencies))
      expect(listed).toContain(`${name}@${version}`);
    for (const name of ['nlohmann-json', 'postgresql', 'huggingface-tokenizers'])
      expect(sbom.components.find((each) => each.name === name)).toHaveProperty('licenses');
    expect([...listed].some((name) => name.startsWith('vitest@'))).toBe(false);
  }, 60_000); // npm reads every package
});

describe('npm run audit', () => {
  const report = (severity: string) =>
    JSON.stringify({
      vulnerabilities: { x: { name: 'x', severity, range: '<2', via: [{ title: 'overflow' }, 'y'] } },
    });

  it('fails on severe advisories and tells milder ones', () => {
    expect(readAudit(report('critical'))).toEqual({ kind: 'severe', lines: ['critical: x <2: overflow; y'] });
    expect(readAudit(`npm warn x\n${report('moderate')}\nnpm error y`)).toMatchObject({ kind: 'told' });
    expect(readAudit('{"vulnerabilities": {}}')).toMatchObject({ kind: 'clean' });
  });

  it('says that it was skipped where no advisories can be had, and never that all is well', () => {
    const refused =
      'npm warn audit 405\n{ "message": "405 Method Not Allowed", "statusCode": 405, "error": {} }\nnpm error';
    expect(readAudit(refused)).toMatchObject({
      kind: 'skipped',
      lines: [expect.stringContaining('405') as string],
    });
    for (const output of ['', 'npm error network', '{"error": {"summary": "getaddrinfo ENOTFOUND"}}', '[]'])
      expect(readAudit(output).kind).toBe('skipped');
  });
});
