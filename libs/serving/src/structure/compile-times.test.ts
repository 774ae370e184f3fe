import { expect, it } from 'vitest';
import { CompileTimes } from './compile-times.js';

const grammarOf = (length: number, ending = '') =>
  `root ::= ${'a'.repeat(length - 9 - ending.length)}${ending}`;
const known = (perCharacter_ms: number) => {
  const times = new CompileTimes(50);
  for (let i = 0; i < 4; i++) times.note(grammarOf(100), 100 * perCharacter_ms);
  return times;
};

it('knows nothing before some were compiled', () => {
  const times = new CompileTimes(50);
  expect(times.isQuick(grammarOf(20))).toBe(false);
  for (let i = 0; i < 3; i++) times.note(grammarOf(100), 1);
  expect(times.isQuick(grammarOf(20))).toBe(false);
});

it('goes by the length of a grammar, and by how quick the machine is of late', () => {
  const times = known(0.1);
  expect([times.isQuick(grammarOf(400)), times.isQuick(grammarOf(600))]).toEqual([true, false]);
  for (let i = 0; i < 40; i++) times.note(grammarOf(100), 5);
  expect(times.isQuick(grammarOf(600))).toBe(true);
});

it.each(['x{25}', 'x{3,200}', 'x{200,}', '(a b){99}', '[a-z]{30}', '"ab"{30}'])(
  'does not trust a grammar that counts: %s',
  (counted) => {
    expect(known(0.001).isQuick(grammarOf(100, counted))).toBe(false);
  },
);

it.each(['x{24}', 'x{0,16}', 'x*', 'x?'])('trusts one that does not: %s', (simple) => {
  expect(known(0.001).isQuick(grammarOf(100, simple))).toBe(true);
});
