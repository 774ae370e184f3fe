import {
  ALL,
  type CodePoints,
  complement,
  difference,
  ofCharacters,
  single,
  union,
} from '../automaton/code-points.js';

export const DIGITS: CodePoints = [0x30, 0x39];
const WORD: CodePoints = union([DIGITS, [0x41, 0x5a], single(0x5f), [0x61, 0x7a]]);
const LINE_ENDS = ofCharacters('\n\r\u2028\u2029');
/** JavaScript's white space and line ends. */
const SPACE: CodePoints = union([
  ofCharacters('\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
  [0x2000, 0x200a],
]);
export const ANY_BUT_LINE_ENDS = difference(ALL, LINE_ENDS);

const CLASSES: ReadonlyMap<string, CodePoints> = new Map([
  ['d', DIGITS],
  ['D', complement(DIGITS)],
  ['w', WORD],
  ['W', complement(WORD)],
  ['s', SPACE],
  ['S', complement(SPACE)],
]);

/** Of `\d`, `\D`, `\w`, `\W`, `\s`, `\S`. */
export const classOf = (letter: string): CodePoints | undefined => CLASSES.get(letter);

const properties = new Map<string, CodePoints>();

/** Of `\p{name}`, as this JavaScript's RegExp knows it; throws what RegExp throws for an unknown name. */
export function propertyOf(name: string): CodePoints {
  const known = properties.get(name);
  if (known !== undefined) return known;
  const tester = new RegExp(`^\\p{${name}}$`, 'u');
  const ranges: number[] = [];
  for (let i = 0; i < ALL.length; i += 2)
    for (let codePoint = ALL[i] as number; codePoint <= (ALL[i + 1] as number); codePoint++)
      if (tester.test(String.fromCodePoint(codePoint))) {
        if (ranges.at(-1) === codePoint - 1) ranges[ranges.length - 1] = codePoint;
        else ranges.push(codePoint, codePoint);
      }
  properties.set(name, ranges);
  return ranges;
}
