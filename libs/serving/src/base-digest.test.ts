import { mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { baseDigest } from './base-digest.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-digest-'));
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    writeFileSync(join(folder, name), `content of ${name}`);
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the base model's digest", () => {
  it('changes with the bytes and the name of a weight file, and with nothing that lies beside', async () => {
    const before = await baseDigest(folder);
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    writeFileSync(join(folder, 'README.md'), 'words');
    expect(await baseDigest(folder)).toBe(before);
    renameSync(join(folder, 'model.safetensors'), join(folder, 'other.safetensors'));
    expect(await baseDigest(folder)).not.toBe(before);
    renameSync(join(folder, 'other.safetensors'), join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'model.safetensors'), 'content of model.safetensorZ');
    expect(await baseDigest(folder)).not.toBe(before);
  });

  it('changes with the chat template and the generation config, which change what the base answers', async () => {
    const digests = [await baseDigest(folder)];
    for (const name of ['chat_template.jinja', 'generation_config.json']) {
      writeFileSync(join(folder, name), `content of ${name}`);
      digests.push(await baseDigest(folder));
    }
    expect(new Set(digests).size).toBe(3);
  });

  it('remembers content hashes, and hashes a file again when it was written', async () => {
    const cache = join(folder, 'kept', 'hashes.json');
    const before = await baseDigest(folder, cache);
    const kept = JSON.parse(readFileSync(cache, 'utf8')) as Record<string, string>;
    expect(Object.keys(kept)).toHaveLength(3);
    expect(await baseDigest(folder, cache)).toBe(before);
    writeFileSync(join(folder, 'config.json'), 'content of config.jsoN');
    utimesSync(join(folder, 'config.json'), 1, 1);
    expect(await baseDigest(folder, cache)).not.toBe(before);
    writeFileSync(cache, 'damaged');
    expect(await baseDigest(folder, cache)).toMatch(/^[0-9a-f]{64}$/);
  });
});
