import {
  type CodePoints,
  contains,
  difference,
  intersection,
  ofCharacters,
} from '../automaton/code-points.js';
import { bytes, choice, type Expression, NEVER, sequence, text } from '../ebnf/expression.js';
import type { Rules } from '../ebnf/rules.js';
import { characterAlternatives } from '../ebnf/utf8.js';

/*
 * How a character may be spelled within a JSON string: as it is, by a short escape, or by \uXXXX. The last only for
 * control characters and beyond ASCII, as writers of JSON do it.
 */

/** Must be escaped: quotation mark, reverse solidus, control characters. */
const ESCAPED: CodePoints = [0, 0x1f, 0x22, 0x22, 0x5c, 0x5c];
type ShortEscape = readonly [character: string, letter: string];
const SHORT_ESCAPES: readonly ShortEscape[] = [
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['\b', 'b'],
  ['\f', 'f'],
  ['\n', 'n'],
  ['\r', 'r'],
  ['\t', 't'],
];
const BY_NUMBER: CodePoints = [0, 0x1f, 0x7f, 0xd7ff, 0xe000, 0x10ffff];
/** Which escapes a text may have. */
export interface Escapes {
  readonly short: readonly ShortEscape[];
  /** As `\uXXXX`. */
  readonly numbered: CodePoints;
}
export const JSON_ESCAPES: Escapes = { short: SHORT_ESCAPES, numbered: BY_NUMBER };
export const PYTHON_ESCAPES: Escapes = {
  short: SHORT_ESCAPES.filter(([character]) => character !== '/'),
  numbered: [0, 0x1f, 0x7f, 0x7f],
};

/** A set of more ranges (the letters of all scripts, say) is not spelled by numbers: the grammar would become large. */
const MOST_RANGES_BY_NUMBER = 24;

/** One character of the set, as it may stand between the quotation marks: alternatives without alternatives in them. */
export function jsonCharacters(set: CodePoints, rules: Rules, escapes: Escapes): readonly Expression[] {
  const letters = escapes.short
    .filter(([character]) => contains(set, character.codePointAt(0) as number))
    .map(([, letter]) => letter);
  const numbered = intersection(set, escapes.numbered);
  const isShort = numbered.length > 0 && numbered.length <= 2 * MOST_RANGES_BY_NUMBER;
  return [
    ...characterAlternatives(difference(set, ESCAPED), rules),
    ...(letters.length > 0 ? [sequence(text('\\'), bytes(ofCharacters(letters.join(''))))] : []),
    ...(isShort
      ? [
          sequence(
            text('\\u'),
            rules.once('number', `digits ${numbered.join()}`, () => byNumber(numbered)),
          ),
        ]
      : []),
  ];
}

/** The digits behind "\u"; those of both halves beyond U+FFFF. */
function byNumber(characters: CodePoints): Expression {
  const choices: Expression[] = [];
  for (let i = 0; i < characters.length; i += 2) {
    const [first, last] = [characters[i] as number, characters[i + 1] as number];
    if (first <= 0xffff) choices.push(hexRange(first, Math.min(last, 0xffff), 4));
    if (last > 0xffff) choices.push(surrogates(Math.max(first, 0x10000), last));
  }
  return choice(...choices);
}

function surrogates(first: number, last: number): Expression {
  const halves = (codePoint: number) => [
    0xd800 + ((codePoint - 0x10000) >> 10),
    0xdc00 + ((codePoint - 0x10000) & 0x3ff),
  ];
  const [firstHigh, firstLow] = halves(first) as [number, number];
  const [lastHigh, lastLow] = halves(last) as [number, number];
  const pairs = (high0: number, high1: number, low0: number, low1: number): Expression =>
    high0 > high1 ? NEVER : sequence(hexRange(high0, high1, 4), text('\\u'), hexRange(low0, low1, 4));
  if (firstHigh === lastHigh) return pairs(firstHigh, firstHigh, firstLow, lastLow);
  const wholeFrom = firstLow === 0xdc00 ? firstHigh : firstHigh + 1;
  const wholeTo = lastLow === 0xdfff ? lastHigh : lastHigh - 1;
  return choice(
    ...(wholeFrom > firstHigh ? [pairs(firstHigh, firstHigh, firstLow, 0xdfff)] : []),
    pairs(wholeFrom, wholeTo, 0xdc00, 0xdfff),
    ...(wholeTo < lastHigh ? [pairs(lastHigh, lastHigh, 0xdc00, lastLow)] : []),
  );
}

/** Numbers from `first` to `last` in `width` hexadecimal digits of either case. */
function hexRange(first: number, last: number, width: number): Expression {
  if (width === 0) return text('');
  const unit = 16 ** (width - 1);
  const digit = (value: number) => Math.floor(value / unit);
  const [low, high] = [digit(first), digit(last)];
  const wholeFrom = first === low * unit ? low : low + 1;
  const wholeTo = last === (high + 1) * unit - 1 ? high : high - 1;
  const rest = (from: number, to: number) => hexRange(from % unit, to % unit, width - 1);
  if (low === high) return sequence(hexDigits(low, low), rest(first, last));
  return choice(
    ...(wholeFrom > low ? [sequence(hexDigits(low, low), rest(first, unit - 1))] : []),
    ...(wholeFrom <= wholeTo ? [sequence(hexDigits(wholeFrom, wholeTo), rest(0, unit - 1))] : []),
    ...(wholeTo < high ? [sequence(hexDigits(high, high), rest(0, last))] : []),
  );
}

function hexDigits(first: number, last: number): Expression {
  const digits = Array.from({ length: last - first + 1 }, (_, i) => (first + i).toString(16));
  return bytes(ofCharacters(digits.flatMap((digit) => [digit, digit.toUpperCase()]).join('')));
}
