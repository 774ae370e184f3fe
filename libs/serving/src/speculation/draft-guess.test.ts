import { expect, it } from 'vitest';
import type { Sequence } from '../loop/sequence.js';
import type { RequestAcceptance } from './acceptance.js';
import { AllowedTokens } from '../structure/allowed-tokens.js';
import { MaskPool } from '../structure/mask-pool.js';
import { DraftGuess } from './draft-guess.js';

const guessOn = (sequence: object, { mask = undefined as AllowedTokens | undefined, masked = 100 } = {}) => {
  const options = { bans: { size: 0 }, stopRule: { bannedUntilMin: [] }, vocabSize: 100, mask };
  const whole = Object.assign(sequence, { options }) as unknown as Sequence;
  return new DraftGuess(whole, {} as RequestAcceptance, { draft: 100, masked });
};

it('is held to the allowed tokens where its logits are those that masks speak of', () => {
  const pool = new MaskPool(1, 0, 100);
  const mask = new AllowedTokens(pool, pool.take() ?? 0, [3]);
  expect(guessOn({}, { mask }).options.mask).toBe(mask);
  expect(guessOn({}, { mask, masked: 132 }).options.mask).toBeUndefined();
});

it('counts the tokens guessed before a guess in its penalties', () => {
  const copied: number[][] = [];
  const history = { size: 3, copyTo: (_: unknown, __: number, drafted: number[]) => copied.push(drafted) };
  const guess = guessOn({ history, totalTokens: 3, tokenAt: () => 1 });
  guess.restart();
  for (const token of [4, 5]) guess.take(token);
  expect(guess.history?.size).toBe(5);
  guess.history?.copyTo({} as never, 0, [6]);
  expect(copied).toEqual([[4, 5, 6]]);
});

it('keeps of its last guess in the cache only what became part of the text', () => {
  const tokens = [1, 2, 3];
  const sequence = { totalTokens: tokens.length, tokenAt: (index: number) => tokens[index] };
  const guess = guessOn(sequence);
  guess.restart();
  for (const token of [4, 5, 6]) guess.take(token);
  guess.computedTokens = guess.totalTokens; // all of it lies in the draft model's cache
  tokens.push(4, 8); // the second guess was wrong
  sequence.totalTokens = tokens.length;
  guess.restart();
  expect(guess.computedTokens).toBe(4);
  expect(guess.missing).toBe(1);
});
