import { describe, expect, it } from 'vitest';
import { badWordTokens, TokenBans } from './token-bans.js';

/** What a draw must not give, and what it favours, after these tokens. */
function entriesAfter(bans: TokenBans, generated: number[], drafted: number[] = []): [number, number][] {
  const plan = { biasToken: new Int32Array(64), biasValue: new Float32Array(64) };
  const end = bans.copyTo(plan, 3, { generated: Int32Array.from(generated), drafted });
  expect(end - 3).toBeLessThanOrEqual(bans.size);
  return Array.from(plan.biasToken.subarray(3, end), (token, i) => [token, plan.biasValue[i + 3] as number]);
}
const bansOf = (more: Partial<ConstructorParameters<typeof TokenBans>[0]>) =>
  new TokenBans({ logitBias: [], badWords: [], ...more });
const bannedAfter = (bans: TokenBans, generated: number[], drafted: number[] = []) =>
  entriesAfter(bans, generated, drafted)
    .filter(([, value]) => value === Number.NEGATIVE_INFINITY)
    .map(([token]) => token);

describe('what must not be drawn', () => {
  it('is a word of one token always, and the last of several only after the others', () => {
    const bans = bansOf({ badWords: [[4], [1, 2, 3], [2, 7]] });
    expect(bannedAfter(bans, [])).toEqual([4]);
    expect(bannedAfter(bans, [1, 2])).toEqual([4, 3, 7]);
    expect(bannedAfter(bans, [2, 1])).toEqual([4]);
    expect(bannedAfter(bans, [2])).toEqual([4, 7]);
  });

  it('is beside what is favoured', () => {
    const bans = bansOf({ badWords: [[4]], logitBias: [{ token: 2, bias: -3 }] });
    expect(entriesAfter(bans, [])).toEqual([
      [2, -3],
      [4, Number.NEGATIVE_INFINITY],
    ]);
  });

  it('counts guessed tokens as drawn', () => {
    const bans = bansOf({ badWords: [[1, 2, 3]] });
    expect(bannedAfter(bans, [1], [2])).toEqual([3]);
    expect(bannedAfter(bans, [], [1, 2])).toEqual([3]);
    expect(bannedAfter(bans, [1, 2], [5])).toEqual([]);
  });

  it('knows when no token would be left', () => {
    const bans = bansOf({ badWords: [[2]] });
    expect(bans.leavesOneOf([1, 2], [])).toBe(true);
    expect(bans.leavesOneOf([1, 2], [1])).toBe(false);
  });
});

it('reads a word alone and after a space, where that makes another token', async () => {
  const tokens: Record<string, number[]> = {
    a: [1],
    ' a': [2],
    bc: [3, 4],
    ' bc': [9, 3, 4],
    d: [5],
    ' d': [5],
    '': [],
  };
  const encode = async (text: string) => tokens[text] ?? [];
  expect(await badWordTokens([' a', 'bc', 'd', ' '], encode)).toEqual([[1], [2], [3, 4], [5]]);
});
