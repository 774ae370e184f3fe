import { ALL, type CodePoints, intersection } from '../automaton/code-points.js';
import { bytes, choice, type Expression, NOTHING, rule, sequence } from './expression.js';
import type { Rules } from './rules.js';

const ASCII: CodePoints = [0, 0x7f];
const WIDE: CodePoints = intersection(ALL, [0x80, 0x10ffff]);
/** By the number of bytes. */
const LENGTHS: readonly (readonly [first: number, last: number])[] = [
  [0x80, 0x7ff],
  [0x800, 0xffff],
  [0x10000, 0x10ffff],
];
/** A set that needs more sequences beyond ASCII gets a rule for them, or the grammar becomes large. */
const MOST_INLINE = 16;

/**
 * One character of the set in UTF-8: alternatives without alternatives in them. Only those may be written in front of what
 * follows in one rule: where a rule ends within a token, the library must try that token at each step.
 */
export function characterAlternatives(set: CodePoints, rules: Rules): readonly Expression[] {
  const ascii = intersection(set, ASCII);
  const wide = intersection(set, WIDE);
  const own = ascii.length > 0 ? [bytes(ascii)] : [];
  const sequences = wideSequences(wide);
  if (sequences.length <= MOST_INLINE) return [...own, ...sequences];
  return [...own, rules.once('wide', `wide ${wide.join()}`, () => choice(...sequences))];
}

/** One character of the set, as one expression. */
export const characters = (set: CodePoints, rules: Rules): Expression =>
  choice(...characterAlternatives(set, rules));

/** Any number of characters of the set. */
export function anyCharacters(set: CodePoints, rules: Rules): Expression {
  return rules.once('text', `text ${set.join()}`, () => {
    const again = rule(rules.nameOf(`text ${set.join()}`));
    return choice(...characterAlternatives(set, rules).map((one) => sequence(one, again)), NOTHING);
  });
}

function wideSequences(set: CodePoints): Expression[] {
  const found: Expression[] = [];
  for (const [first, last] of LENGTHS) {
    const part = intersection(set, [first, last]);
    for (let i = 0; i < part.length; i += 2)
      found.push(...byteSequences(encoded(part[i] as number), encoded(part[i + 1] as number)));
  }
  return found;
}

const encoded = (codePoint: number): number[] => [...Buffer.from(String.fromCodePoint(codePoint))];

/** All texts of as many bytes from `first` to `last`; bytes behind the first run from 0x80 to 0xbf. */
function byteSequences(first: readonly number[], last: readonly number[]): Expression[] {
  const [low = 0, ...lowRest] = first;
  const [high = 0, ...highRest] = last;
  if (lowRest.length === 0) return [bytes([low, high])];
  const behind = (from: number, to: number, rest: Expression[]) =>
    rest.map((each) => sequence(bytes([from, to]), each));
  if (low === high) return behind(low, low, byteSequences(lowRest, highRest));
  const [least, most] = [lowRest.map(() => 0x80), lowRest.map(() => 0xbf)];
  const wholeFrom = lowRest.every((byte) => byte === 0x80) ? low : low + 1;
  const wholeTo = highRest.every((byte) => byte === 0xbf) ? high : high - 1;
  return [
    ...(wholeFrom > low ? behind(low, low, byteSequences(lowRest, most)) : []),
    ...(wholeFrom <= wholeTo ? behind(wholeFrom, wholeTo, byteSequences(least, most)) : []),
    ...(wholeTo < high ? behind(high, high, byteSequences(least, highRest)) : []),
  ];
}
