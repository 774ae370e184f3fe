/** A set of Unicode scalar values: first and last of each range in turn, ascending, with gaps between the ranges. */
export type CodePoints = readonly number[];

const LAST = 0x10ffff;
const FIRST_SURROGATE = 0xd800;
const LAST_SURROGATE = 0xdfff;

/** No surrogates: UTF-8 cannot spell them, so no text holds one. */
export const ALL: CodePoints = [0, FIRST_SURROGATE - 1, LAST_SURROGATE + 1, LAST];

/** Half of a pair: UTF-8 cannot spell it. */
export const LONE_SURROGATE = /\p{Surrogate}/u;

export const single = (codePoint: number): CodePoints => [codePoint, codePoint];

export function ofCharacters(characters: string): CodePoints {
  return union([...characters].map((character) => single(character.codePointAt(0) as number)));
}

/** From ranges in any order that may overlap. */
export function union(sets: readonly CodePoints[]): CodePoints {
  const ranges: [number, number][] = [];
  for (const set of sets)
    for (let i = 0; i < set.length; i += 2) ranges.push([set[i] as number, set[i + 1] as number]);
  ranges.sort((a, b) => a[0] - b[0]);
  const merged: number[] = [];
  for (const [first, last] of ranges) {
    const end = merged.length - 1;
    if (merged.length > 0 && first <= (merged[end] as number) + 1)
      merged[end] = Math.max(merged[end] as number, last);
    else merged.push(first, last);
  }
  return merged;
}

export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  const common: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const first = Math.max(a[i] as number, b[j] as number);
    const last = Math.min(a[i + 1] as number, b[j + 1] as number);
    if (first <= last) common.push(first, last);
    if ((a[i + 1] as number) < (b[j + 1] as number)) i += 2;
    else j += 2;
  }
  return common;
}

export function complement(set: CodePoints): CodePoints {
  const rest: number[] = [];
  let next = 0;
  for (let i = 0; i < set.length; i += 2) {
    if ((set[i] as number) > next) rest.push(next, (set[i] as number) - 1);
    next = (set[i + 1] as number) + 1;
  }
  if (next <= LAST) rest.push(next, LAST);
  return intersection(rest, ALL);
}

export const difference = (a: CodePoints, b: CodePoints): CodePoints => intersection(a, complement(b));

export function contains(set: CodePoints, codePoint: number): boolean {
  for (let i = 0; i < set.length; i += 2)
    if (codePoint >= (set[i] as number) && codePoint <= (set[i + 1] as number)) return true;
  return false;
}
