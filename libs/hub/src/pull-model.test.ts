import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeHub } from '../../../test/support/fake-hub.js';
import { parseHubReference } from './hub-reference.js';
import { type PullProgress, pullModel } from './pull-model.js';

const COMMIT = 'c'.repeat(40);
const weights = Buffer.from(Uint8Array.from({ length: 50_000 }, (_, at) => (at * 7) % 251));
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const INDEX = json({
  weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
});
const FILES = {
  'config.json': json({ model_type: 'llama' }),
  'tokenizer.json': json({ version: '1.0' }),
  'model.safetensors': weights,
};

let hub: FakeHub;
let folder: string;
beforeEach(async () => {
  hub = await FakeHub.start();
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-pull-'));
  add(FILES);
});
afterEach(async () => {
  hub.close();
  await rm(folder, { recursive: true, force: true });
});

function add(files: Readonly<Record<string, Uint8Array>>, token?: string): void {
  hub.repos.set('acme/base', {
    commit: COMMIT,
    revisions: ['main', 'v1'],
    files,
    ...(token ? { token } : {}),
  });
}

function pull(
  source = 'hf://acme/base',
  options: { token?: string; name?: string; signal?: AbortSignal } = {},
) {
  const progress: PullProgress[] = [];
  const retries: string[] = [];
  const pulled = pullModel(parseHubReference(source), {
    access: { endpoint: `${hub.url}/`, token: options.token },
    folderOf: () => join(folder, options.name ?? 'base'),
    onProgress: (each) => progress.push(each),
    onRetry: (message) => retries.push(message),
    signal: options.signal ?? new AbortController().signal,
    patience: { attempts: 3, listings: 1, first_ms: 1, idle_ms: 5_000 },
  });
  return { pulled, progress, retries };
}

const storedAt = (bytes: Uint8Array) => `/lfs/${createHash('sha256').update(bytes).digest('hex')}`;
const names = async (name = 'base') => (await readdir(join(folder, name))).sort();
const STATE = '.lorikeet-pull.json';

describe('a pull of a model', () => {
  it('brings what an engine reads, each file checked, and nothing else', async () => {
    add({
      ...FILES,
      'pytorch_model.bin': weights,
      'evil.py': json('x'),
      '.gitattributes': json('x'),
      'onnx/model.onnx': weights,
      LICENSE: json('mine'),
    });
    const { pulled, progress } = pull();
    expect(await pulled).toMatchObject({ repo: 'acme/base', commit: COMMIT, known: false });
    expect(await names()).toEqual([STATE, 'LICENSE', 'config.json', 'model.safetensors', 'tokenizer.json']);
    expect((await readFile(join(folder, 'base/model.safetensors'))).equals(weights)).toBe(true);
    const last = progress.at(-1);
    expect(last?.doneBytes).toBe(last?.totalBytes);
    expect(await readdir(folder)).toEqual(['base']);
  });

  it('is done at once where it was done before', async () => {
    await pull().pulled;
    hub.front.requests.length = 0;
    expect(await pull().pulled).toMatchObject({ known: true });
    expect(hub.front.requests.map(({ path }) => path)).toEqual(['/api/models/acme/base/revision/main']);
  });

  it('takes the weights that the index lists, and not a second copy of them', async () => {
    const shards = {
      'model-00001-of-00002.safetensors': weights.subarray(0, 9_000),
      'model-00002-of-00002.safetensors': weights.subarray(9_000),
    };
    add({
      ...FILES,
      ...shards,
      'model.safetensors.index.json': INDEX,
      'consolidated.safetensors': weights,
      'model.safetensors': json('x'),
    });
    await pull().pulled;
    expect((await names()).filter((name) => name.endsWith('.safetensors'))).toEqual(Object.keys(shards));
    add({ ...FILES, 'model.safetensors.index.json': INDEX });
    await expect(pull('hf://acme/base', { name: 'other' }).pulled).rejects.toThrow(
      'has no model-00001-of-00002.safetensors',
    );
  });

  it('pulls a folder of a repository, and one file of it', async () => {
    add(
      Object.fromEntries(
        Object.entries({ ...FILES, 'tiny.Q8_0.gguf': weights }).map(([name, bytes]) => [
          `sub/${name}`,
          bytes,
        ]),
      ),
    );
    await pull('hf://acme/base@v1/sub').pulled;
    expect(await names()).toEqual([STATE, 'config.json', 'model.safetensors', 'tokenizer.json']);
    await pull('hf://acme/base/sub/tiny.Q8_0.gguf', { name: 'gguf' }).pulled;
    expect(await names('gguf')).toEqual([STATE, 'tiny.Q8_0.gguf']);
    await expect(pull('hf://acme/base', { name: 'root' }).pulled).rejects.toThrow(
      'The repository has no config.json',
    );
  });

  it('goes on where the connection broke, and makes no more of it than of each byte once', async () => {
    hub.storage.troubles.set(storedAt(weights), [
      { cutAfterBytes: 12_000 },
      { status: 503 },
      { cutAfterBytes: 9_000 },
    ]);
    const { pulled, progress, retries } = pull();
    await pulled;
    expect(retries.length).toBe(3);
    const ranges = hub.storage.rangesOf(storedAt(weights));
    expect(ranges.length).toBe(4);
    expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ''))).toBe(true);
    expect((await readFile(join(folder, 'base/model.safetensors'))).equals(weights)).toBe(true);
    expect(Math.max(...progress.map(({ doneBytes }) => doneBytes))).toBe(progress.at(-1)?.totalBytes);
  });

  it('goes on after it was killed, and begins again where the source has no ranges', async () => {
    const controller = new AbortController();
    hub.storage.beforeChunk = async (at) => {
      if (at >= 20_480) controller.abort(new Error('killed'));
    };
    await expect(pull('hf://acme/base', { signal: controller.signal }).pulled).rejects.toThrow('killed');
    expect((await readdir(folder)).map((name) => name.replace(/\..*\./, '.'))).toEqual(['base.partial']);
    hub.storage.beforeChunk = () => undefined;
    await pull().pulled;
    expect(hub.storage.rangesOf(storedAt(weights)).at(-1)).toMatch(/^bytes=[1-9]\d*-$/);
    await rm(join(folder, 'base'), { recursive: true });
    hub.storage.etags = false; // this server then answers ranges with the whole file
    hub.storage.troubles.set(storedAt(weights), [{ cutAfterBytes: 12_000 }]);
    await pull().pulled;
    expect((await readFile(join(folder, 'base/model.safetensors'))).equals(weights)).toBe(true);
  });

  it('gives up after attempts without a byte, and leaves no folder of that name', async () => {
    hub.storage.troubles.set(
      storedAt(weights),
      [503, 503, 503].map((status) => ({ status })),
    );
    await expect(pull().pulled).rejects.toThrow('The Hub answered 503 for model.safetensors');
    await expect(readdir(join(folder, 'base'))).rejects.toThrow('ENOENT');
  });

  it.each(['model.safetensors', 'config.json'] as const)(
    'refuses a %s that is not what the Hub says, and removes it',
    async (name) => {
      const wrong = Buffer.from(FILES[name]);
      wrong[3] = (wrong[3] ?? 0) ^ 1;
      hub.answer = (asked, bytes) => (asked === name ? wrong : bytes);
      await expect(pull().pulled).rejects.toThrow(
        /model\.safetensors: its SHA-256 is|config\.json: its git hash is/,
      );
      hub.answer = (_, bytes) => bytes;
      await pull().pulled;
      expect((await readFile(join(folder, 'base', name))).equals(FILES[name])).toBe(true);
    },
  );

  it('says what is missing: repository, revision, permission', async () => {
    await expect(pull('hf://acme/none').pulled).rejects.toThrow(
      'hf://acme/none@main does not exist, or may not be read',
    );
    await expect(pull('hf://acme/base@v9').pulled).rejects.toThrow('hf://acme/base@v9 has no such revision');
    add(FILES, 'secret');
    await expect(pull().pulled).rejects.toThrow(
      'may not be read with this token (HF_TOKEN) (the Hub answered 401)',
    );
    await pull('hf://acme/base', { token: 'secret' }).pulled;
    // The token is the Hub's alone.
    expect(hub.storage.requests.some(({ headers }) => 'authorization' in headers)).toBe(false);
  });

  it('does not touch a folder that holds something else, nor files outside of its own', async () => {
    await mkdir(join(folder, 'base'));
    await writeFile(join(folder, 'base/mine.txt'), 'x');
    await expect(pull().pulled).rejects.toThrow('is there already and holds something else');
    add({ ...FILES, '../evil.safetensors': weights, 'a/../../config.json': json({}) });
    await pull('hf://acme/base', { name: 'other' }).pulled;
    expect(await names('other')).toEqual([STATE, 'config.json', 'model.safetensors', 'tokenizer.json']);
  });

  it('is one and the same when two do it at once', async () => {
    await Promise.all([pull().pulled, pull().pulled]);
    expect((await readFile(join(folder, 'base/model.safetensors'))).equals(weights)).toBe(true);
    expect(await readdir(folder)).toEqual(['base']);
  });
});
