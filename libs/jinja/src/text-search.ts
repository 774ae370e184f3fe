import { valueError } from './errors.js';
import { lengthOf, plain, SPACE, sliceUnits, type Text, unitAt } from './text.js';

export type Sides = 'both' | 'left' | 'right';

const LEADING_SPACE = new RegExp(`^[${SPACE}]+`);
const SPACES = new RegExp(`[${SPACE}]+`, 'g');
const IS_SPACE = new RegExp(`[${SPACE}]`);

/** Python's strip, lstrip and rstrip; without `characters`: whitespace. */
export function strip(value: Text, sides: Sides, characters?: string): Text {
  const text = plain(value);
  const begin = sides === 'right' ? 0 : leading(text, characters);
  const end = sides === 'left' ? text.length : text.length - trailing(text, begin, characters);
  return begin === 0 && end === text.length ? value : sliceUnits(value, begin, end);
}

function leading(text: string, characters: string | undefined): number {
  if (characters === undefined) return LEADING_SPACE.exec(text)?.[0].length ?? 0;
  const set = new Set(characters);
  let units = 0;
  for (const character of text) {
    if (!set.has(character)) break;
    units += character.length;
  }
  return units;
}

function trailing(text: string, begin: number, characters: string | undefined): number {
  const set = characters === undefined ? undefined : new Set(characters);
  let end = text.length;
  while (end > begin) {
    const isPair = end - begin >= 2 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(end - 2, end));
    const character = text.slice(end - (isPair ? 2 : 1), end);
    if (set === undefined ? !IS_SPACE.test(character) : !set.has(character)) break;
    end -= character.length;
  }
  return text.length - end;
}

/** Units of a code point range as Python's slices count it: negative from the end, cut at both. */
export function unitRange(
  text: string,
  start: number | undefined,
  end: number | undefined,
): [number, number] {
  if (start === undefined && end === undefined) return [0, text.length];
  const length = lengthOf(text);
  const clamp = (index: number): number => Math.min(Math.max(index < 0 ? index + length : index, 0), length);
  const [from, to] = [start ?? 0, clamp(end ?? length)];
  // A start beyond the end finds nothing, not even the empty text.
  if (from > length) return [text.length + 1, text.length];
  return [unitAt(text, clamp(from)), unitAt(text, to)];
}

/** Pieces between separators, at most `limit` of them cut off from the left. */
export function splitAt(value: Text, separator: string, limit: number): Text[] {
  if (separator === '') throw valueError('empty separator');
  const text = plain(value);
  const pieces: Text[] = [];
  let at = 0;
  while (pieces.length < limit) {
    const found = text.indexOf(separator, at);
    if (found < 0) break;
    pieces.push(sliceUnits(value, at, found));
    at = found + separator.length;
  }
  pieces.push(sliceUnits(value, at, text.length));
  return pieces;
}

/** The same from the right. */
export function splitAtLast(value: Text, separator: string, limit: number): Text[] {
  if (separator === '') throw valueError('empty separator');
  const text = plain(value);
  const pieces: Text[] = [];
  let end = text.length;
  while (pieces.length < limit) {
    const found = end < separator.length ? -1 : text.lastIndexOf(separator, end - separator.length);
    if (found < 0) break;
    pieces.push(sliceUnits(value, found + separator.length, end));
    end = found;
  }
  pieces.push(sliceUnits(value, 0, end));
  return pieces.toReversed();
}

/** Words between runs of whitespace; after `limit` cuts the rest stays whole. */
export function splitWords(value: Text, limit: number): Text[] {
  const text = plain(value);
  const words: Text[] = [];
  let at = leading(text, undefined);
  while (at < text.length) {
    SPACES.lastIndex = at;
    const gap = words.length < limit ? SPACES.exec(text) : null;
    if (gap === null) {
      const rest = words.length < limit ? text.length : text.length - trailingSpace(text, at, limit);
      words.push(sliceUnits(value, at, rest));
      break;
    }
    words.push(sliceUnits(value, at, gap.index));
    at = gap.index + gap[0].length;
  }
  return words;
}

/** The rest after the last cut loses the whitespace at its end only when everything was split. */
function trailingSpace(text: string, begin: number, limit: number): number {
  return limit === Number.POSITIVE_INFINITY ? trailing(text, begin, undefined) : 0;
}

export function splitWordsFromRight(value: Text, limit: number): Text[] {
  const words: Text[] = [];
  let rest = strip(value, 'right');
  while (plain(rest) !== '') {
    const text = plain(rest);
    const cut = words.length < limit ? lastSpace(text) : -1;
    if (words.length >= limit) {
      words.push(rest);
      break;
    }
    words.push(sliceUnits(rest, cut + 1, text.length));
    rest = strip(sliceUnits(rest, 0, cut + 1), 'right');
  }
  return words.toReversed();
}

function lastSpace(text: string): number {
  for (let i = text.length - 1; i >= 0; i--) if (IS_SPACE.test(text[i] as string)) return i;
  return -1;
}

/** Also the separators of files, groups and records (U+001C to U+001E). */
const LINE_END = new RegExp(
  `\\r\\n|[\\n\\v\\f\\r${String.fromCharCode(0x1c, 0x1d, 0x1e)}\\x85\\u2028\\u2029]`,
  'g',
);

export function splitLines(value: Text, keepEnds: boolean): Text[] {
  const text = plain(value);
  const lines: Text[] = [];
  let at = 0;
  for (const match of text.matchAll(LINE_END)) {
    const end = match.index + match[0].length;
    lines.push(sliceUnits(value, at, keepEnds ? end : match.index));
    at = end;
  }
  if (at < text.length) lines.push(sliceUnits(value, at, text.length));
  return lines;
}

/** Units at which `part` occurs, without overlaps; the empty text occurs between all characters. */
export function occurrences(text: string, part: string, limit: number): number[] {
  const found: number[] = [];
  if (part === '') {
    let unit = 0;
    for (const character of text) {
      if (found.length >= limit) return found;
      found.push(unit);
      unit += character.length;
    }
    if (found.length < limit) found.push(text.length);
    return found;
  }
  for (
    let at = text.indexOf(part);
    at >= 0 && found.length < limit;
    at = text.indexOf(part, at + part.length)
  ) {
    found.push(at);
  }
  return found;
}
