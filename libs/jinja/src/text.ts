/*
 * Text with provenance. A plain JavaScript string is what the template's author wrote. A MarkedText also says which parts
 * of it came from outside, and every operation carries that along: the tokenizer then knows which characters may spell
 * a control token. Positions are UTF-16 units inside these classes; Python's (code points) are converted by the callers.
 */
export type Text = string | MarkedText;

/** Begin and end of each outside part, ascending, not touching each other: [b0, e0, b1, e1, ...]. */
export type Marks = readonly number[];

export class MarkedText {
  constructor(
    readonly text: string,
    readonly marks: Marks,
    /** Python's Markup: HTML that must not be escaped again. */
    readonly markup = false,
  ) {}
}

export function marked(text: string): Text {
  return text === '' ? text : new MarkedText(text, [0, text.length]);
}

export function asMarkup(value: Text): MarkedText {
  return new MarkedText(plain(value), marksOf(value), true);
}

export function isText(value: unknown): value is Text {
  return typeof value === 'string' || value instanceof MarkedText;
}

export function isMarkup(value: unknown): boolean {
  return value instanceof MarkedText && value.markup;
}

export function plain(value: Text): string {
  return typeof value === 'string' ? value : value.text;
}

export function marksOf(value: Text): Marks {
  return typeof value === 'string' ? [] : value.marks;
}

/** The units [begin, end) of a text. */
export function sliceUnits(value: Text, begin: number, end: number): Text {
  if (typeof value === 'string') return value.slice(begin, end);
  const marks: number[] = [];
  for (let i = firstMarkAfter(value.marks, begin); i < value.marks.length; i += 2) {
    const from = Math.max(value.marks[i] as number, begin);
    if (from >= end) break;
    marks.push(from - begin, Math.min(value.marks[i + 1] as number, end) - begin);
  }
  return textWith(value.text.slice(begin, end), marks);
}

/** Index of the first mark that ends after `position`. */
function firstMarkAfter(marks: Marks, position: number): number {
  let low = 0;
  let high = marks.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((marks[2 * middle + 1] as number) > position) high = middle;
    else low = middle + 1;
  }
  return 2 * low;
}

function textWith(text: string, marks: Marks): Text {
  return marks.length === 0 ? text : new MarkedText(text, marks);
}

/** Puts pieces one after another. */
export class TextBuilder {
  #text = '';
  readonly #marks: number[] = [];

  push(piece: Text): void {
    if (typeof piece === 'string') {
      this.#text += piece;
      return;
    }
    const base = this.#text.length;
    for (let i = 0; i < piece.marks.length; i += 2) {
      const begin = base + (piece.marks[i] as number);
      const end = base + (piece.marks[i + 1] as number);
      if (this.#marks.at(-1) === begin) this.#marks[this.#marks.length - 1] = end;
      else this.#marks.push(begin, end);
    }
    this.#text += piece.text;
  }

  finish(): Text {
    return textWith(this.#text, this.#marks);
  }
}

export function concatenate(pieces: Iterable<Text>): Text {
  const builder = new TextBuilder();
  for (const piece of pieces) builder.push(piece);
  return builder.finish();
}

export function joinTexts(pieces: readonly Text[], separator: Text): Text {
  const builder = new TextBuilder();
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) builder.push(separator);
    builder.push(piece);
  }
  return builder.finish();
}

/** `text` as made of `from` in a way that keeps no positions: outside as soon as any of `from` is. */
export function derived(text: string, from: Text): Text {
  return typeof from === 'string' || from.marks.length === 0 ? text : marked(text);
}

/** Each code point replaced by what `change` makes of it; positions are kept. */
export function mapCharacters(value: Text, change: (character: string, index: number) => string): Text {
  if (typeof value === 'string') return Array.from(value, change).join('');
  const builder = new TextBuilder();
  let at = 0;
  let index = 0;
  for (const character of value.text) {
    const next = change(character, index++);
    const isOutside = marksOf(sliceUnits(value, at, at + character.length)).length > 0;
    builder.push(isOutside ? marked(next) : next);
    at += character.length;
  }
  return builder.finish();
}

/** Characters as texts, one for each code point. */
export function characters(value: Text): Text[] {
  if (typeof value === 'string') return Array.from(value);
  const all: Text[] = [];
  let at = 0;
  for (const character of value.text) {
    all.push(sliceUnits(value, at, at + character.length));
    at += character.length;
  }
  return all;
}

const SURROGATE = /[\ud800-\udfff]/;

/** Length in code points, as Python counts. */
export function lengthOf(value: Text): number {
  const text = plain(value);
  if (!SURROGATE.test(text)) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** The unit at which code point `index` starts; past the end: the length. */
export function unitAt(text: string, index: number): number {
  if (!SURROGATE.test(text)) return Math.min(index, text.length);
  let unit = 0;
  for (let i = 0; i < index && unit < text.length; i++)
    unit += (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
  return unit;
}

/** The number of code points before a unit. */
export function pointAt(text: string, unit: number): number {
  return lengthOf(text.slice(0, unit));
}

/** What Python's str.isspace says. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
