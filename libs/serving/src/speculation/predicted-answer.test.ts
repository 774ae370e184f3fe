import { expect, it } from 'vitest';
import { PredictedAnswer } from './predicted-answer.js';

const PROMPT = [90, 91];
const tokens = (...generated: number[]) => Int32Array.from([...PROMPT, ...generated]);
const answer = (...predicted: number[]) =>
  new PredictedAnswer(Int32Array.from(predicted), { promptTokens: PROMPT.length, matchTokens: 2 });

it('begins at its begin and follows what is drawn', () => {
  const along = answer(1, 2, 3, 4, 5, 6);
  expect(along.draft(tokens(), 3)).toEqual([1, 2, 3]);
  expect(along.draft(tokens(1, 2, 3, 4), 9)).toEqual([5, 6]);
  expect(along.draft(tokens(1, 2, 3, 4, 5, 6), 9)).toEqual([]);
});

it('is silent where the answer left it, until two tokens are found again', () => {
  const edited = answer(1, 2, 3, 4, 5, 6, 7, 8);
  expect(edited.draft(tokens(1, 2, 40), 3)).toEqual([]);
  expect(edited.draft(tokens(1, 2, 40, 5), 3)).toEqual([]);
  expect(edited.draft(tokens(1, 2, 40, 5, 6), 3)).toEqual([7, 8]);
});

it('prefers the place behind the one where it was left', () => {
  const repeating = answer(1, 2, 3, 1, 2, 4, 1, 2, 5);
  expect(repeating.draft(tokens(1, 2, 3, 1, 9), 3)).toEqual([]);
  expect(repeating.draft(tokens(1, 2, 3, 1, 9, 1, 2), 1)).toEqual([4]);
});

it('never takes the prompt for the answer', () => {
  const same = answer(90, 91, 7, 8);
  expect(same.draft(tokens(3), 3)).toEqual([]);
});
