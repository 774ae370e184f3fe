import type { Expression } from './expression.js';

/** In the automaton library's EBNF. */
export function printed(expression: Expression): string {
  if (expression.kind === 'text') return `"${[...expression.text].map(inText).join('')}"`;
  if (expression.kind === 'bytes') return `[${byteClass(expression.ranges)}]`;
  if (expression.kind === 'rule') return expression.name;
  if (expression.kind === 'sequence') return expression.items.map(grouped).join(' ');
  if (expression.kind === 'choice') return expression.items.map(printed).join(' | ');
  return `${grouped(expression.item)}${quantifier(expression.min, expression.max)}`;
}

function grouped(expression: Expression): string {
  const isAtom = expression.kind === 'text' || expression.kind === 'bytes' || expression.kind === 'rule';
  return isAtom ? printed(expression) : `(${printed(expression)})`;
}

function quantifier(min: number, max: number | undefined): string {
  if (max === undefined) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`;
  if (min === 0 && max === 1) return '?';
  return min === max ? `{${min}}` : `{${min},${max}}`;
}

const inText = (character: string): string =>
  /^[ !#-[\]-~]$/.test(character) ? character : escaped(character.codePointAt(0) as number);

/**
 * The library reads a class as one byte, but takes a class of one member for a character's text: beyond ASCII that is two
 * bytes, so a single byte there is written twice.
 */
function byteClass(ranges: readonly number[]): string {
  let printed = '';
  for (let i = 0; i < ranges.length; i += 2) {
    const [first, last] = [ranges[i] as number, ranges[i + 1] as number];
    printed += first === last ? inSet(first) : `${inSet(first)}-${inSet(last)}`;
  }
  const isSingle = ranges.length === 2 && ranges[0] === ranges[1];
  return isSingle && (ranges[0] as number) > 0x7f ? printed + printed : printed;
}

function inSet(codePoint: number): string {
  const character = String.fromCodePoint(codePoint);
  return /^[A-Za-z0-9]$/.test(character) ? character : escaped(codePoint);
}

const escaped = (codePoint: number): string =>
  codePoint > 0xffff
    ? `\\U${codePoint.toString(16).padStart(8, '0')}`
    : `\\u${codePoint.toString(16).padStart(4, '0')}`;
