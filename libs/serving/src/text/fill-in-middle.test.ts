import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';
import { finishOf, generateRequest } from '../../../../test/support/generate-request.js';
import { collect, ServingFixture } from '../../../../test/support/serving-fixture.js';
import { encodeMiddle, middleEnds } from './fill-in-middle.js';
import { Tokenizer } from './tokenizer.js';

const FOLDER = join(import.meta.dirname, '../../../../test/golden/tokenizers');
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A family's small tokenizer with further tokens behind its own. */
async function withTokens(family: string, ...names: string[]): Promise<Tokenizer> {
  const { tokenizer } = JSON.parse(readFileSync(join(FOLDER, family), 'utf8')) as {
    tokenizer: { added_tokens: { id: number }[]; model: { vocab: object } };
  };
  const ids = [...Object.values(tokenizer.model.vocab), ...tokenizer.added_tokens.map(({ id }) => id)];
  const next = Math.max(...ids.map(Number)) + 1;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  tokenizer.added_tokens.push(...names.map((content, at) => ({ id: next + at, content, ...flags })));
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-middle-'));
  folders.push(folder);
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  return Tokenizer.load(folder);
}

const QWEN = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|fim_pad|>'];
const middle = { prefix: 'def f(x):\n    ', suffix: '\n    return y', addSpecialTokens: true };
const plain = async (tokenizer: Tokenizer, text: string) => [...(await tokenizer.encode(text, false)).ids];

describe('a prompt with a suffix', () => {
  it.each([
    ['qwen.json', QWEN, ['<|fim_prefix|>', 'prefix', '<|fim_suffix|>', 'suffix', '<|fim_middle|>']],
    [
      'gpt2.json',
      ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'],
      ['<fim_prefix>', 'prefix', '<fim_suffix>', 'suffix', '<fim_middle>'],
    ],
    ['mistral.json', ['[PREFIX]', '[SUFFIX]'], ['[SUFFIX]', 'suffix', '[PREFIX]', 'prefix']],
  ])('is laid out as the family knows it: %s', async (family, names, parts) => {
    const tokenizer = await withTokens(family, ...names);
    const begin = (await tokenizer.encode('a', true)).ids[0];
    const alone = (await tokenizer.encode('a', false)).ids[0];
    const wanted = begin === alone ? [] : [begin];
    for (const part of parts) {
      if (part === 'prefix' || part === 'suffix') wanted.push(...(await plain(tokenizer, middle[part])));
      else wanted.push(tokenizer.idOf(part) as number);
    }
    const { ids, added } = await encodeMiddle(tokenizer, middle, 1_000);
    expect([...ids]).toEqual(wanted);
    expect(added).toHaveLength(ids.length);
  });

  it('takes what a file spells as its text', async () => {
    const tokenizer = await withTokens('qwen.json', ...QWEN);
    const { ids } = await encodeMiddle(tokenizer, { ...middle, suffix: 'x = "<|fim_middle|>"' }, 1_000);
    const mark = tokenizer.idOf('<|fim_middle|>');
    expect(ids.filter((id) => id === mark)).toHaveLength(1);
    expect(ids.at(-1)).toBe(mark);
  });

  it('is refused where the model has no tokens for it, or has no room', async () => {
    const without = await withTokens('qwen.json');
    await expect(encodeMiddle(without, middle, 1_000)).rejects.toMatchObject({
      code: 'invalid_request',
      details: { param: 'suffix' },
    });
    const tokenizer = await withTokens('qwen.json', ...QWEN);
    const long = { ...middle, suffix: 'many words '.repeat(50) };
    await expect(encodeMiddle(tokenizer, long, 20)).rejects.toThrow(/tokens/);
  });

  it('ends at the tokens that begin another file', async () => {
    const tokenizer = await withTokens('qwen.json', ...QWEN);
    const end = tokenizer.idOf('<|fim_pad|>') as number;
    expect(middleEnds(tokenizer)).toEqual([end]);
    const fixture = await ServingFixture.make();
    const { engine } = fixture.open({ tokenizer, vocabSize: end + 1 });
    const answer = async (suffix: object) => {
      const input = { kind: 'text' as const, text: 'def f(x):', addSpecialTokens: true, ...suffix };
      const sampling = { ...NEUTRAL_SAMPLING, logitBias: [{ token: end, bias: 100 }] };
      const request = generateRequest(input, { maxTokens: 4, sampling });
      return finishOf(await collect(await engine.generate(request, new AbortController().signal)));
    };
    try {
      expect(await answer({ suffix: 'return y' })).toMatchObject({ reason: 'stop' });
      expect(await answer({})).toMatchObject({ reason: 'length' });
    } finally {
      await fixture.closeAll();
      fixture.remove();
    }
  });
});
