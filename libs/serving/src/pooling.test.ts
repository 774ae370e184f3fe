import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPooling } from './pooling.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-pooling-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const TRANSFORMER = { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' };
const POOLING = { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' };
const NORMALIZE = { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' };

async function read(files: Readonly<Record<string, unknown>>) {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), JSON.stringify(content));
  }
  return readPooling(folder);
}
const modes = (mode: string) => ({
  word_embedding_dimension: 8,
  pooling_mode_cls_token: false,
  pooling_mode_mean_tokens: false,
  [mode]: true,
  include_prompt: true,
});

it('takes the last token, and length 1, of a checkpoint that says nothing', async () => {
  expect(await read({})).toEqual({ kind: 'last', normalize: true });
});

it.each([
  ['pooling_mode_lasttoken', 'last'],
  ['pooling_mode_mean_tokens', 'mean'],
  ['pooling_mode_cls_token', 'cls'],
])('reads %s, and whether vectors are normalized', async (mode, kind) => {
  const config = { '1_Pooling/config.json': modes(mode) };
  expect(await read({ 'modules.json': [TRANSFORMER, POOLING, NORMALIZE], ...config })).toEqual({
    kind,
    normalize: true,
  });
  expect(await read({ 'modules.json': [TRANSFORMER, POOLING], ...config })).toEqual({
    kind,
    normalize: false,
  });
});

it.each([
  [
    'another way of pooling',
    { '1_Pooling/config.json': modes('pooling_mode_max_tokens') },
    'pooling_mode_max_tokens',
  ],
  [
    'two ways',
    { '1_Pooling/config.json': { ...modes('pooling_mode_cls_token'), pooling_mode_mean_tokens: true } },
    'and',
  ],
  ['no way', { '1_Pooling/config.json': {} }, 'nothing'],
  ['a missing configuration', {}, 'cannot be read'],
  [
    'a module',
    { 'modules.json': [TRANSFORMER, { ...POOLING, type: 'sentence_transformers.models.Dense' }] },
    'Dense',
  ],
  ['a list that is none', { 'modules.json': {} }, 'modules.json'],
])('names %s that it does not know', async (_, files, says) => {
  const pooling = await read({ 'modules.json': [TRANSFORMER, POOLING], ...files });
  expect(pooling).toBeInstanceOf(Error);
  expect((pooling as Error).message).toContain(says);
});
