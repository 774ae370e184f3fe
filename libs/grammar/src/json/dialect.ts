import { ALL, complement, type CodePoints, ofCharacters, single } from '../automaton/code-points.js';
import type { Dfa } from '../automaton/dfa.js';
import { EVERY_TEXT, ofMachine } from '../automaton/languages.js';
import { both } from '../automaton/product.js';
import type { Budget } from '../budget.js';
import type { ValueSpelling } from '#contracts/structural-tag.js';
import type { Expression } from '../ebnf/expression.js';
import type { Rules } from '../ebnf/rules.js';
import { characterAlternatives } from '../ebnf/utf8.js';
import { JSON_ESCAPES, jsonCharacters, PYTHON_ESCAPES } from './characters.js';

/** How values are written that a schema describes: as JSON, or as a family of models writes arguments. */
export interface Dialect {
  /** Sets its rules apart from those of others in one grammar. */
  readonly key: string;
  readonly words: Readonly<Record<'null' | 'true' | 'false', string>>;
  /** Around texts. */
  readonly quote: string;
  /** What must not stand within them, as it would end them. */
  readonly excluded: readonly string[];
  /** A text between its quotes; undefined: it cannot be written. */
  readonly written: (text: string) => string | undefined;
  /** Names of members that stand without quotes. */
  readonly bareName: RegExp | undefined;
  /** The ways to write one character of the set within a text. */
  readonly characters: (set: CodePoints, rules: Rules) => readonly Expression[];
}

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1);

export const JSON_DIALECT: Dialect = {
  key: '',
  words: { null: 'null', true: 'true', false: 'false' },
  quote: '"',
  excluded: [],
  written: inJson,
  bareName: undefined,
  characters: (set, rules) => jsonCharacters(set, rules, JSON_ESCAPES),
};

/** Python's literals: a text without lone halves of surrogate pairs and `\/`, which Python does not read as JSON does. */
const PYTHON_DIALECT: Dialect = {
  ...JSON_DIALECT,
  key: 'python ',
  words: { null: 'None', true: 'True', false: 'False' },
  characters: (set, rules) => jsonCharacters(set, rules, PYTHON_ESCAPES),
};

/** Texts stand as they are between marks, and names of members without them where they can. */
function markedDialect(quote: string, excluded: readonly string[]): Dialect {
  return {
    key: `${quote} `,
    words: JSON_DIALECT.words,
    quote,
    excluded,
    written: (text) => (excluded.some((mark) => text.includes(mark)) ? undefined : text),
    bareName: /^[A-Za-z_][\w.-]*$/,
    characters: characterAlternatives,
  };
}

export function dialectOf(spelling: ValueSpelling | undefined): Dialect {
  if (spelling === undefined) return JSON_DIALECT;
  return spelling.kind === 'python' ? PYTHON_DIALECT : markedDialect(spelling.quote, spelling.excluded);
}

/** The texts that hold none of the marks. */
export function withoutMarks(marks: readonly string[], budget: Budget): Dfa {
  return marks.reduce((language, mark) => both(language, withoutMark(mark, budget), budget), EVERY_TEXT);
}

function withoutMark(mark: string, budget: Budget): Dfa {
  const letters = [...new Set(mark)];
  const sets = letters.map((letter) => single(letter.codePointAt(0) as number));
  return ofMachine<number>(
    {
      start: 0,
      letters: [...sets, complement(ofCharacters(letters.join('')))],
      // The state is how much of the mark has come.
      step: (come, letter) => {
        const seen = mark.slice(0, come) + (letters[letter] ?? '\0');
        let length = Math.min(seen.length, mark.length);
        while (!seen.endsWith(mark.slice(0, length))) length--;
        return length === mark.length ? undefined : length;
      },
      accepts: () => true,
      key: String,
    },
    budget,
  );
}

/** Any text of one letter that begins no mark. */
export const beginsNone = (marks: readonly string[]): CodePoints =>
  marks.length === 0 ? ALL : complement(ofCharacters(marks.map((mark) => mark[0]).join('')));
