import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeHub } from '../../../test/support/fake-hub.js';
import { withLocalModel } from './model-place.js';

const FILES = {
  'config.json': Buffer.from('{}'),
  'model.safetensors': Buffer.from('weights'),
  'tiny.gguf': Buffer.from('GGUF'),
};
const [FIRST, SECOND] = ['a'.repeat(40), 'b'.repeat(40)];

let hub: FakeHub;
let dataDir: string;
beforeEach(async () => {
  hub = await FakeHub.start();
  dataDir = await mkdtemp(join(tmpdir(), 'lorikeet-model-'));
  isAt(FIRST);
});
afterEach(async () => {
  hub.close();
  await rm(dataDir, { recursive: true, force: true });
});

const isAt = (commit: string) =>
  hub.repos.set('acme/base', {
    commit,
    revisions: ['main'],
    files: { ...FILES, 'README.md': Buffer.from(commit) },
  });

async function local(
  modelPath: string,
  { url = hub.url, modelName }: { url?: string; modelName?: string } = {},
) {
  const notices: string[] = [];
  const settings = { modelPath, modelName, dataDir, hfEndpoint: url, hfToken: undefined };
  const signal = AbortSignal.timeout(60_000);
  const hooks = { onProgress: () => undefined, onNotice: (line: string) => notices.push(line), signal };
  return { ...(await withLocalModel(settings, hooks)), notices };
}

describe('MODEL_PATH', () => {
  it('is left as it is where it is a folder', async () => {
    expect(await local('/srv/base')).toMatchObject({ modelPath: '/srv/base', modelName: undefined });
  });

  it('with hf:// is pulled below DATA_DIR, and named as the repository unless it has a name', async () => {
    const { modelPath, modelName } = await local('hf://acme/base');
    expect([modelPath, modelName]).toEqual([join(dataDir, 'models/acme--base', FIRST), 'base']);
    expect(await readFile(join(modelPath, 'README.md'), 'utf8')).toBe(FIRST);
    expect((await local('hf://acme/base', { modelName: 'mine' })).modelName).toBe('mine');
    expect((await local('hf://acme/base/tiny.gguf')).modelPath).toBe(
      join(dataDir, 'models/acme--base/tiny.gguf', FIRST, 'tiny.gguf'),
    );
  });

  it('with hf:// follows a branch, is what it was last while the Hub is away, and needs no Hub for a commit', async () => {
    await local('hf://acme/base');
    isAt(SECOND);
    const { modelPath } = await local('hf://acme/base');
    expect(modelPath.endsWith(SECOND)).toBe(true);
    hub.front.troubles.set(
      '/api/models/acme/base/revision/main',
      Array.from({ length: 8 }, () => ({ status: 503 })),
    );
    const again = await local('hf://acme/base');
    expect(again.modelPath).toBe(modelPath);
    expect(again.notices.at(-1)).toContain(`What main was last (${SECOND}) is served.`);
    expect((await local(`hf://acme/base@${SECOND}`)).modelPath).toBe(modelPath);
    expect(hub.front.requests.filter(({ path }) => path.endsWith(SECOND))).toEqual([]);
  });

  it('with hf:// says in its own words what cannot be had', async () => {
    await expect(local('hf://acme/base@v9')).rejects.toThrow(
      'MODEL_PATH=hf://acme/base@v9: hf://acme/base@v9 has no such revision',
    );
    await expect(local('hf://nothing')).rejects.toThrow(
      'MODEL_PATH=hf://nothing: expected the form hf://org/repo',
    );
  });
});
