import { expect, it } from 'vitest';
import { warmUp } from './warm-up.js';
import { loadXgrammar } from './xgrammar.js';

it('compiles another grammar each time, until that takes no less any more', async () => {
  const library = loadXgrammar();
  const tokens = ['<s>', '{', '}', '"', ':', 'a', '1'];
  const tokenizer = await library.TokenizerInfo.createTokenizerInfo(tokens, 'byte_level', false, 7, [0]);
  const compiler = await library.GrammarCompiler.createGrammarCompiler(tokenizer, false);
  const seen: string[] = [];
  await warmUp(async (grammar) => {
    seen.push(grammar);
    (await compiler.compileGrammar(grammar)).dispose();
  });
  expect(seen.length).toBeGreaterThan(4);
  expect(new Set(seen).size).toBe(seen.length);
});
