import { describe, expect, it } from 'vitest';
import type { TokenTexts } from '../text/detokenizer.js';
import { type StopOptions, StopRule } from './stop-rule.js';

const EOS = 1;
/** Token 97 is "a" and so on; 0 to 9 are special. */
const ASCII: TokenTexts = {
  bytesOf: (id) => Uint8Array.of(id),
  wholeTextOf: (id) => (id < 128 ? String.fromCharCode(id) : undefined),
  isSpecial: (id) => id < 10,
};

function run(text: string, options: Partial<StopOptions>, tokens?: number[]) {
  const rule = new StopRule(ASCII, {
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    ignoreEos: false,
    eosTokenIds: [EOS],
    minTokens: 0,
    maxTokens: 100,
    ...options,
  });
  let shown = '';
  let count = 0;
  for (const id of tokens ?? [...text].map((character) => character.charCodeAt(0))) {
    count++;
    const outcome = rule.push(id);
    shown += outcome.text;
    if (outcome.ending) return { shown, count, ...outcome.ending };
  }
  return { shown, count };
}

describe('the end of a generation', () => {
  it('ends at the end-of-sequence token, which shows no text', () => {
    expect(run('', {}, [97, EOS, 98])).toEqual({ shown: 'a', count: 2, reason: 'stop', stopReason: null });
  });

  it('goes on past it with ignore_eos', () => {
    expect(run('', { ignoreEos: true, maxTokens: 3 }, [97, EOS, 98])).toEqual({
      shown: 'ab',
      count: 3,
      reason: 'length',
      stopReason: null,
    });
  });

  it('ends at a stop token and shows it only with include_stop', () => {
    const want = { count: 2, reason: 'stop', stopReason: 98 };
    expect(run('abc', { stopTokenIds: [98] })).toEqual({ shown: 'a', ...want });
    expect(run('abc', { stopTokenIds: [98], includeStop: true })).toEqual({ shown: 'ab', ...want });
  });

  it('shows held text when the end comes before the stop string is complete', () => {
    expect(run('', { stop: ['abc'] }, [97, 98, EOS])).toMatchObject({
      shown: 'ab',
      reason: 'stop',
      stopReason: null,
    });
    expect(run('xab', { stop: ['abc'], maxTokens: 3 })).toMatchObject({ shown: 'xab', reason: 'length' });
  });

  it('prefers the stop string when the last token allowed completes it', () => {
    expect(run('xabc', { stop: ['abc'], maxTokens: 4 })).toMatchObject({ shown: 'x', stopReason: 'abc' });
  });

  it('looks for stop strings only in what comes after min_tokens', () => {
    expect(run('aaXaaX', { stop: ['X'], minTokens: 4 })).toMatchObject({ shown: 'aaXaa', count: 6 });
  });

  it('names the tokens that must not be drawn before min_tokens are there', () => {
    const rule = new StopRule(ASCII, {
      stop: [],
      stopTokenIds: [98, EOS],
      includeStop: false,
      ignoreEos: false,
      eosTokenIds: [EOS, 2],
      minTokens: 1,
      maxTokens: 9,
    });
    expect([...rule.bannedUntilMin].sort((a, b) => a - b)).toEqual([1, 2, 98]);
    expect(rule.belowMin(0)).toBe(true);
    expect(rule.belowMin(1)).toBe(false);
    rule.push(97);
    expect(rule.belowMin(0)).toBe(false);
  });

  it('shows the broken bytes of an unfinished character at the end', () => {
    expect(run('', { maxTokens: 2 }, [97, 0xe2])).toMatchObject({ shown: 'a\u{fffd}', reason: 'length' });
  });
});
