import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { BaseModel } from '#contracts/base-model.js';
import type { ModelDescription } from '#native-engine/native.js';
import { ggufFiles, isGguf } from './checkpoint/gguf-files.js';
import { fileStamp, hashFile, hashSpan } from './residency/file-hash.js';

const CONFIG_AND_TOKENIZER = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja', // makes the prompt of a chat
  'generation_config.json', // says which tokens end an answer
];

interface DigestedFile {
  readonly name: string;
  readonly path: string;
}

/** Files that make a base model what it is: a change in any of them makes another base. */
async function digestedFiles(modelPath: string): Promise<readonly DigestedFile[]> {
  if (isGguf(modelPath)) return ggufFiles(modelPath).map((path, i) => ({ name: `${i}.gguf`, path }));
  const names = await readdir(modelPath);
  return names
    .filter((name) => CONFIG_AND_TOKENIZER.includes(name) || name.endsWith('.safetensors'))
    .sort()
    .map((name) => ({ name, path: resolve(modelPath, name) }));
}

/**
 * SHA-256 (hex) over the names and content hashes of config, tokenizer, template and weight files; of a GGUF model over its
 * parts, however they are called. Content hashes are kept in
 * `cachePath` by path, size, time and inode, because hashing a large checkpoint at each start takes long.
 */
export async function baseDigest(
  modelPath: string,
  cachePath?: string,
  signal?: AbortSignal,
): Promise<string> {
  const cache = cachePath === undefined ? {} : await readCache(cachePath);
  const fresh: Record<string, string> = {};
  const digest = createHash('sha256').update('lorikeet.base.v1\n');
  for (const { name, path } of await digestedFiles(modelPath)) {
    const key = `${path}:${await fileStamp(path)}`;
    const sha256 = cache[key] ?? (await hashFile(path, signal));
    fresh[key] = sha256;
    digest.update(`${name} ${sha256}\n`);
  }
  const changed = Object.keys(fresh).some((key) => !(key in cache));
  if (cachePath !== undefined && changed) await writeCache(cachePath, { ...cache, ...fresh });
  return digest.digest('hex');
}

/** The bytes of the embedding and of the head, hashed; kept like the files' hashes. */
export async function vocabularyDigests(
  weights: ModelDescription['vocabularyWeights'],
  cachePath?: string,
): Promise<NonNullable<BaseModel['vocabularyWeights']>> {
  const cache = cachePath === undefined ? {} : await readCache(cachePath);
  const fresh: Record<string, string> = {};
  const digests = [];
  for (const { module, path, dtype, begin, end } of weights) {
    const key = `${path}:${await fileStamp(path)}:${begin}-${end}`;
    const sha256 = cache[key] ?? (await hashSpan(path, { begin, end }));
    fresh[key] = sha256;
    digests.push({ module, dtype, sha256 });
  }
  const changed = Object.keys(fresh).some((key) => !(key in cache));
  if (cachePath !== undefined && changed) await writeCache(cachePath, { ...cache, ...fresh });
  return digests;
}

async function readCache(path: string): Promise<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value !== 'object' || value === null) return {};
    return Object.fromEntries(
      Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  } catch {
    return {}; // a cache: absent or damaged, the files are hashed again
  }
}

async function writeCache(path: string, cache: Record<string, string>): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, JSON.stringify(cache));
  await rename(temporary, path);
}
