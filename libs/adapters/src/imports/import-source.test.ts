import { describe, expect, it } from 'vitest';
import { describeSource, parseImportFrom } from './import-source.js';
import { parseHubSource } from './hub-source.js';
import { isWithin, parseS3Source } from './s3-source.js';

const files = (source: string) => {
  const parsed = parseImportFrom({ source });
  return parsed.kind === 'https' ? parsed.files : {};
};

describe('the source of an import', () => {
  it.each(['https://a.example/x', 'https://a.example/x/', 'https://a.example/x/adapter_config.json'])(
    'means a folder: %s',
    (source) => {
      expect(files(source)).toEqual({
        'adapter_config.json': 'https://a.example/x/adapter_config.json',
        'adapter_model.safetensors': 'https://a.example/x/adapter_model.safetensors',
      });
    },
  );

  it('keeps the query of a folder, and shows it to nobody', () => {
    const source = 'https://a.example/x?signature=secret';
    expect(files(source)['adapter_config.json']).toBe(
      'https://a.example/x/adapter_config.json?signature=secret',
    );
    expect(describeSource(parseImportFrom({ source }))).toBe('https://a.example/x/');
  });

  it.each([
    ['hf://org/repo', 'main', ''],
    ['hf://org/repo@v1.0', 'v1.0', ''],
    ['hf://org/repo@main/', 'main', ''],
    ['hf://org/repo@main/a/b', 'main', 'a/b'],
    ['hf://org/repo/a/b', 'main', 'a/b'],
    ['hf://org/repo@feature%2Fx/a', 'feature/x', 'a'],
    ['hf://org/repo@refs/pr/12', 'refs/pr/12', ''],
    ['hf://org/repo@refs/pr/12/a', 'refs/pr/12', 'a'],
    ['hf://org/repo@refs%2Fpr%2F12/a', 'refs/pr/12', 'a'],
  ])('reads %s', (source, revision, folder) => {
    expect(parseHubSource(source)).toEqual({ kind: 'hub', repo: 'org/repo', revision, folder });
  });

  it.each([
    'hf://org',
    'hf:///repo',
    'hf://org/repo@',
    'hf://org/..',
    'hf://org/repo@main/../x',
    'hf://org/repo@..%2F..',
    'hf://org/repo@main/a?b',
    'hf://org/repo@main/a#b',
    'hf://o%2Frg/repo',
    'hf://org/re po',
  ])('refuses %s', (source) => {
    expect(() => parseHubSource(source)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('lies in an opened place only at the boundary of folders', () => {
    const source = parseS3Source('s3://bucket/a/b/');
    expect(isWithin({ bucket: 'bucket', prefix: '' }, source)).toBe(true);
    expect(isWithin({ bucket: 'bucket', prefix: 'a' }, source)).toBe(true);
    expect(isWithin({ bucket: 'bucket', prefix: 'a/b' }, source)).toBe(true);
    expect(isWithin({ bucket: 'bucket', prefix: 'a/b/c' }, source)).toBe(false);
    expect(isWithin({ bucket: 'bucket', prefix: 'a/bc' }, source)).toBe(false);
    expect(isWithin({ bucket: 'other', prefix: '' }, source)).toBe(false);
  });
});
