import { ALL, type CodePoints, intersection } from '../automaton/code-points.js';
import { bytes, choice, type Expression, NEVER, sequence } from './expression.js';
import type { Rules } from './rules.js';

const ASCII: CodePoints = [0, 0x7f];
const WIDE: CodePoints = intersection(ALL, [0x80, 0x10ffff]);
/** By the number of bytes. */
const LENGTHS: readonly (readonly [first: number, last: number])[] = [
  [0x80, 0x7ff],
  [0x800, 0xffff],
  [0x10000, 0x10ffff],
];

/** One character of the set, as its bytes in UTF-8. */
export function characters(set: CodePoints, rules: Rules): Expression {
  const ascii = intersection(set, ASCII);
  const wide = intersection(set, WIDE);
  return choice(
    ...(ascii.length > 0 ? [bytes(ascii)] : []),
    ...(wide.length > 0 ? [rules.once('wide', `wide ${wide.join()}`, () => wideCharacters(wide))] : []),
  );
}

function wideCharacters(set: CodePoints): Expression {
  const choices: Expression[] = [];
  for (const [first, last] of LENGTHS) {
    const part = intersection(set, [first, last]);
    for (let i = 0; i < part.length; i += 2)
      choices.push(byteSequences(encoded(part[i] as number), encoded(part[i + 1] as number)));
  }
  return choices.length === 0 ? NEVER : choice(...choices);
}

const encoded = (codePoint: number): number[] => [...Buffer.from(String.fromCodePoint(codePoint))];

/** All texts of as many bytes from `first` to `last`; bytes behind the first run from 0x80 to 0xbf. */
function byteSequences(first: readonly number[], last: readonly number[]): Expression {
  const [low = 0, ...lowRest] = first;
  const [high = 0, ...highRest] = last;
  if (lowRest.length === 0) return bytes([low, high]);
  if (low === high) return sequence(bytes([low, low]), byteSequences(lowRest, highRest));
  const [least, most] = [lowRest.map(() => 0x80), lowRest.map(() => 0xbf)];
  const wholeFrom = lowRest.every((byte) => byte === 0x80) ? low : low + 1;
  const wholeTo = highRest.every((byte) => byte === 0xbf) ? high : high - 1;
  return choice(
    ...(wholeFrom > low ? [sequence(bytes([low, low]), byteSequences(lowRest, most))] : []),
    ...(wholeFrom <= wholeTo ? [sequence(bytes([wholeFrom, wholeTo]), byteSequences(least, most))] : []),
    ...(wholeTo < high ? [sequence(bytes([high, high]), byteSequences(least, highRest))] : []),
  );
}
