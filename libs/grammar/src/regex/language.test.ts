import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { acceptedOf } from '../../../../test/support/grammars.js';
import { matches } from '../automaton/dfa.js';
import { Budget } from '../budget.js';
import { wishGrammar } from '../wish-grammar.js';
import { regexLanguage } from './language.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 300_000 });

const PATTERNS = [
  '',
  'a',
  '^a$',
  'a|b',
  '^(a|bc)+$',
  '^a{2,3}b?$',
  '[^a-c]',
  '^[\\d\\w-]+$',
  '^\\s*$',
  '\\.',
  '^.$',
  'a.c',
  '^(?:ab)*?c$',
  '^|b$',
  'a^b',
  'a$b',
  '(^a|b$)',
  '^$',
  '^\\u00e9+$',
  '^\\u{1F600}$',
  '^\\ud83d\\ude00$',
  '^[\\u{1F600}-\\u{1F64F}]$',
  '\\x41',
  '\\cJ',
  '[\\b]',
  '^\\p{Lu}\\P{Lu}*$',
  '^(?<year>\\d{4})-(?<month>\\d\\d)$',
  '^[]$',
  '^[^]$',
  '^\\/\\-?$'.replace('\\-', '-'),
  '^(a*)*$',
  '^((a|ab)(c|bcd)(d*))$',
  '^(a?){3}$',
  '[\\S\\s]',
  '^[\\W]$',
  '^a{0}b$',
  '(a|^)b',
  '^(\\+|-)?[1-9]\\d*(\\.\\d+)?$',
]; // prettier-ignore
const TEXTS = [
  '',
  'a',
  'b',
  'c',
  'ab',
  'ba',
  'abc',
  'aab',
  'aaab',
  'abab',
  'ababc',
  'bcbc',
  'A',
  'é',
  'éé',
  '😀',
  '\n',
  '\u2028',
  ' ',
  '\t\u00a0',
  '.',
  '-',
  'a-1_',
  'a\nc',
  'axc',
  'a😀c',
  '\b',
  '2024-02',
  'Aé1',
  '/-',
  '/',
  'abcd',
  'aaa',
  '-12.50',
  '0',
  'd',
]; // prettier-ignore

/** As JSON Schema and ajv use it. */
const matchesWhole = (pattern: string, text: string) => new RegExp(`^(?:${pattern})$`, 'u').test(text);

describe('regular expressions', () => {
  it.each(PATTERNS)('matches as JavaScript does: %s', (pattern) => {
    const somewhere = regexLanguage(pattern, 'somewhere', new Budget());
    const whole = regexLanguage(pattern, 'whole', new Budget());
    for (const text of TEXTS) {
      expect(matches(somewhere, text), `${pattern} in ${JSON.stringify(text)}`).toBe(
        new RegExp(pattern, 'u').test(text),
      );
      expect(matches(whole, text), `${pattern} is ${JSON.stringify(text)}`).toBe(matchesWhole(pattern, text));
    }
  });

  it('matches as JavaScript does: any pattern of small parts', () => {
    const atom = fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[^a]', '^', '$', '\\w');
    const pattern = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        atom,
        fc.tuple(tie('node'), tie('node')).map(([a, b]) => a + b),
        fc.tuple(tie('node'), tie('node')).map(([a, b]) => `(?:${a}|${b})`),
        fc
          .tuple(tie('node'), fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}'))
          .map(([a, q]) => `(?:${a})${q}`),
      ),
    })).node;
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd', '\n'), maxLength: 6 });
    const all = () =>
      fc.assert(
        fc.property(pattern, fc.array(text, { minLength: 8, maxLength: 8 }), (source, texts) => {
          const language = regexLanguage(source, 'somewhere', new Budget());
          for (const each of texts)
            if (matches(language, each) !== new RegExp(source, 'u').test(each)) return false;
          return true;
        }),
        { numRuns: 200, seed: 1 },
      );
    expect(all).not.toThrow();
  });

  it('become grammars of the same texts', async () => {
    for (const pattern of PATTERNS.filter((each) => each !== '^[]$')) {
      let grammar: string;
      try {
        grammar = wishGrammar({ kind: 'regex', pattern });
      } catch (error) {
        expect(
          TEXTS.some((text) => matchesWhole(pattern, text)),
          `${pattern}: ${String(error)}`,
        ).toBe(false);
        continue;
      }
      const verdicts = await acceptedOf(grammar, TEXTS.slice(1));
      for (const [i, text] of TEXTS.slice(1).entries())
        expect(verdicts[i], `${pattern} is ${JSON.stringify(text)}`).toBe(matchesWhole(pattern, text));
    }
  });
});
