import { GemmaText } from './gemma-text.js';
import { firstMark, heldLength, type Reader, type Said } from './reader.js';
import { ShownText } from './shown-text.js';

export interface GemmaMarks {
  readonly open: string;
  readonly close: string;
  /** Around texts. */
  readonly quote: string;
}

/** Calls of FunctionGemma and Gemma 4: `call:name{key:value, ...}` between marks, known when it is whole. */
export class GemmaCalls implements Reader {
  /** The marks of the call at hand; undefined: text. */
  #inside: GemmaMarks | undefined;
  #held = '';
  readonly #shown = new ShownText();

  constructor(private readonly marks: readonly GemmaMarks[]) {}

  push(text: string): Said[] {
    this.#held += text;
    const said: Said[] = [];
    for (;;) {
      const marks = this.#inside ? [this.#inside.close] : this.marks.map(({ open }) => open);
      const found = firstMark(this.#held, marks);
      if (!found) break;
      const before = this.#held.slice(0, found.at);
      this.#held = this.#held.slice(found.at + found.mark.length);
      said.push(...(this.#inside ? this.#call(before, this.#inside) : this.#shown.say(before)));
      this.#inside = this.#inside ? undefined : this.marks.find(({ open }) => open === found.mark);
    }
    if (this.#inside) return said;
    const held = heldLength(
      this.#held,
      this.marks.map(({ open }) => open),
    );
    said.push(...this.#shown.say(this.#held.slice(0, this.#held.length - held)));
    this.#held = this.#held.slice(this.#held.length - held);
    return said;
  }

  /** A call whose closing mark was left out counts when it is whole. */
  end(): Said[] {
    const rest = this.#held;
    this.#held = '';
    const last = this.#inside ? this.#call(rest, this.#inside) : this.#shown.say(rest);
    return [...last, ...this.#shown.end()];
  }

  #call(text: string, marks: GemmaMarks): Said[] {
    const call = GemmaText.callOf(text, marks.quote);
    if (call === undefined) return this.#shown.say(marks.open + text);
    this.#shown.called();
    return [
      { kind: 'call', name: call.name },
      { kind: 'arguments', text: call.arguments },
    ];
  }
}
