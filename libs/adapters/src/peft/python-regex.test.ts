import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { newRegexBudget, PythonRegex } from './python-regex.js';
import { PythonRegexError } from './python-regex-parser.js';

/** Made by test/golden/make_python_regex.py: per pattern and name [fullmatch, match]; null where Python refuses it. */
const python = JSON.parse(
  readFileSync(new URL('../../../../test/golden/peft-cases/python-regex.json', import.meta.url), 'utf8'),
) as { names: string[]; patterns: [string, [number, number][] | null][] };

const compile = (pattern: string) => new PythonRegex(pattern, newRegexBudget());

describe('a module pattern', () => {
  it.each(python.patterns)('means what it means to Python: %s', (pattern, expected) => {
    let found: [number, number][] | null;
    try {
      const regex = compile(pattern);
      found = python.names.map((name) => [Number(regex.fullMatch(name)), Number(regex.matchesPrefix(name))]);
    } catch (error) {
      if (!(error instanceof PythonRegexError)) throw error;
      found = null;
    }
    expect(found).toEqual(expected);
  });

  it.each([
    ['(a)\\1', 'back references'],
    ['(?i)model', 'groups'],
    ['(?<=a)b', 'groups'],
    ['(?>a)', 'groups'],
    ['(?(1)a|b)', 'groups'],
    ['(?P=n)', 'groups'],
    ['(?#x)', 'groups'],
    ['a*+', 'possessive'],
    ['a{1,5000}', 'repeats'],
    ['\\x41', 'escape'],
    ['\\N{DIGIT ONE}', 'escape'],
    ['('.repeat(60) + ')'.repeat(60), 'nest'],
    ['a'.repeat(5000), 'longer'],
  ])('is refused rather than guessed at: %s', (pattern, reason) => {
    expect(() => compile(pattern)).toThrow(reason);
  });

  it.each(['(a*)*b', '(a|a)*b', '(a|aa)+$b', '(.*)*'.repeat(20), '(?:(?:(?:a{0,50}){0,50}){0,50}){0,50}b'])(
    'cannot make the reader backtrack for years: %s',
    (pattern) => {
      let found: string;
      try {
        found = String(compile(pattern).fullMatch('a'.repeat(200)));
      } catch (error) {
        found = String(error);
      }
      expect(found).toMatch(/^(true|false|PythonRegexError: the pattern is too expensive to match)$/);
    },
  );
});
