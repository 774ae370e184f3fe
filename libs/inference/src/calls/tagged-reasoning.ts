import { firstMark, heldLength, type Reader, reasoning, type Said } from './reader.js';

export interface ReasoningTags {
  readonly open: string;
  readonly close: string;
}

/**
 * Reasoning between tags before the answer (Qwen3, DeepSeek R1: `<think>`). It may only come first; tags later in the
 * answer are its text. White space around both parts is no part of them. What follows is read by the next reader.
 */
export class TaggedReasoning implements Reader {
  #state: 'before' | 'inside' | 'behind' | 'answer';
  #held = '';
  /** White space of the reasoning that is dropped where the tag follows. */
  #space = '';
  #begun = false;

  constructor(
    private readonly tags: ReasoningTags,
    private readonly answer: Reader,
    /** The prompt ends within the reasoning. */
    open: boolean,
  ) {
    this.#state = open ? 'inside' : 'before';
  }

  push(text: string): Said[] {
    if (this.#state === 'answer') return this.answer.push(text);
    this.#held += text;
    return [...(this.#state === 'before' ? this.#before() : []), ...this.#inside(), ...this.#behind()];
  }

  end(): Said[] {
    const held = this.#held;
    this.#held = '';
    switch (this.#state) {
      case 'inside':
        return [...this.#think(held), ...this.answer.end()];
      case 'before':
        return [...this.answer.push(held), ...this.answer.end()];
      default:
        return this.answer.end();
    }
  }

  /** Waits until it is known whether the answer begins with the tag. */
  #before(): Said[] {
    const text = this.#held.trimStart();
    if (text.startsWith(this.tags.open)) {
      this.#held = text.slice(this.tags.open.length);
      this.#state = 'inside';
      return [];
    }
    if (this.tags.open.startsWith(text)) return [];
    const all = this.#held;
    this.#held = '';
    this.#state = 'answer';
    return this.answer.push(all);
  }

  #inside(): Said[] {
    if (this.#state !== 'inside') return [];
    const { close } = this.tags;
    const found = firstMark(this.#held, [close]);
    const end = found?.at ?? this.#held.length - heldLength(this.#held, [close]);
    const said = this.#think(this.#held.slice(0, end));
    this.#held = this.#held.slice(found ? end + close.length : end);
    if (found) this.#state = 'behind';
    return said;
  }

  /** White space between the reasoning and the answer. */
  #behind(): Said[] {
    if (this.#state !== 'behind') return [];
    const text = this.#held.trimStart();
    this.#held = '';
    if (text === '') return [];
    this.#state = 'answer';
    return this.answer.push(text);
  }

  #think(text: string): Said[] {
    const all = this.#space + (this.#begun ? text : text.trimStart());
    const shown = all.trimEnd();
    this.#begun ||= shown !== '';
    this.#space = this.#begun ? all.slice(shown.length) : '';
    return reasoning(shown);
  }
}

/** An answer of which the reasoning is not wanted. */
export class WithoutReasoning implements Reader {
  constructor(private readonly inner: Reader) {}

  push(text: string): Said[] {
    return this.inner.push(text).filter(({ kind }) => kind !== 'reasoning');
  }

  end(): Said[] {
    return this.inner.end().filter(({ kind }) => kind !== 'reasoning');
  }
}
