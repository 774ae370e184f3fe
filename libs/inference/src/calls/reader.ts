/** What a piece of an answer says. */
export type Said =
  | { readonly kind: 'content'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** Begins a call of a tool. */
  | { readonly kind: 'call'; readonly name: string }
  /** More of the JSON text of the last call's arguments. */
  | { readonly kind: 'arguments'; readonly text: string };

/** Reads an answer as it is generated; what it says does not depend on how the text was cut. */
export interface Reader {
  push(text: string): Said[];
  /** Nothing more comes. */
  end(): Said[];
}

export const content = (text: string): Said[] => (text === '' ? [] : [{ kind: 'content', text }]);
export const reasoning = (text: string): Said[] => (text === '' ? [] : [{ kind: 'reasoning', text }]);

/** Where the first of the marks begins; of two at the same place, the longer. */
export function firstMark(
  text: string,
  marks: readonly string[],
): { readonly at: number; readonly mark: string } | undefined {
  let best: { at: number; mark: string } | undefined;
  for (const mark of marks) {
    const at = text.indexOf(mark);
    if (at < 0) continue;
    if (!best || at < best.at || (at === best.at && mark.length > best.mark.length)) best = { at, mark };
  }
  return best;
}

/** How much of the text's end may be the beginning of a mark, so that it has to wait. */
export function heldLength(text: string, marks: readonly string[]): number {
  let held = 0;
  for (const mark of marks) {
    for (let length = Math.min(mark.length - 1, text.length); length > held; length--) {
      if (mark.startsWith(text.slice(text.length - length))) held = length;
    }
  }
  return held;
}

/** Pieces of one kind that follow each other as one. */
export function joined(said: readonly Said[]): Said[] {
  const all: Said[] = [];
  for (const piece of said) {
    const last = all.at(-1);
    if (last && last.kind === piece.kind && last.kind !== 'call' && piece.kind !== 'call')
      all[all.length - 1] = { kind: last.kind, text: last.text + piece.text };
    else all.push(piece);
  }
  return all;
}
