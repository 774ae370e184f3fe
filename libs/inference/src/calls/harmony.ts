import { content, firstMark, heldLength, type Reader, reasoning, type Said } from './reader.js';

const CHANNEL = '<|channel|>';
const MESSAGE = '<|message|>';
const START = '<|start|>';
/** What ends a message's text. */
const ENDS = ['<|end|>', '<|call|>', '<|return|>', START, CHANNEL];
const HEADERS = [START, CHANNEL, '<|constrain|>'];

type Kind = 'content' | 'reasoning' | 'arguments' | 'nothing';

/**
 * gpt-oss: messages in channels, `<|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...`.
 * Analysis is reasoning; a message to `functions.name` is a call of that tool; all else is the answer.
 */
export class Harmony implements Reader {
  /** A header is read up to its `<|message|>`; undefined while one is read. */
  #kind: Kind | undefined;
  #held = '';
  #isFirst = true;
  /** Of the arguments at hand. */
  #string = new JsonString();

  /** `tools`: calls are wanted; without, their text is no part of the answer. */
  constructor(private readonly tools: boolean) {}

  push(text: string): Said[] {
    this.#held += text;
    const said: Said[] = [];
    let before: string;
    do {
      before = `${this.#kind} ${this.#held.length}`;
      said.push(...(this.#kind === undefined ? this.#header() : this.#message(this.#kind)));
    } while (this.#held !== '' && before !== `${this.#kind} ${this.#held.length}`);
    return said;
  }

  end(): Said[] {
    const rest = this.#held;
    this.#held = '';
    if (this.#kind !== undefined) return this.#say(this.#kind, rest);
    return this.#isFirst && !mayBeHeader(rest) ? content(rest) : [];
  }

  #header(): Said[] {
    if (this.#isFirst && !mayBeHeader(this.#held)) {
      this.#isFirst = false;
      this.#kind = 'content'; // an answer without any channel
      return [];
    }
    const found = firstMark(this.#held, [MESSAGE]);
    if (!found) return [];
    const header = this.#held.slice(0, found.at);
    this.#held = this.#held.slice(found.at + found.mark.length);
    this.#isFirst = false;
    const tool = /\bto=functions\.([\w.-]+)/.exec(header)?.[1];
    if (tool !== undefined) {
      this.#kind = this.tools ? 'arguments' : 'nothing';
      this.#string = new JsonString();
      return this.tools ? [{ kind: 'call', name: tool }] : [];
    }
    this.#kind = /<\|channel\|>\s*analysis\b/.test(header) ? 'reasoning' : 'content';
    return [];
  }

  #message(kind: Kind): Said[] {
    const { found, end } = kind === 'arguments' ? this.#endOfArguments() : this.#endOfText();
    const said = this.#say(kind, this.#held.slice(0, end));
    // The mark of a next header belongs to it.
    const isHeader = found !== undefined && HEADERS.includes(found.mark);
    this.#held = this.#held.slice(found && !isHeader ? end + found.mark.length : end);
    if (found) this.#kind = undefined;
    return said;
  }

  #endOfText(): End {
    const found = firstMark(this.#held, ENDS);
    return { found, end: found?.at ?? this.#held.length - heldLength(this.#held, ENDS) };
  }

  /** Within the strings of arguments, marks are text. */
  #endOfArguments(): End {
    for (let end = 0; end < this.#held.length; end++) {
      const character = this.#held[end] as string;
      if (character === '<' && !this.#string.isOpen) {
        const rest = this.#held.slice(end);
        const mark = ENDS.find((each) => rest.startsWith(each));
        if (mark !== undefined) return { found: { at: end, mark }, end };
        if (ENDS.some((each) => each.startsWith(rest))) return { found: undefined, end };
      }
      this.#string.take(character);
    }
    return { found: undefined, end: this.#held.length };
  }

  #say(kind: Kind, text: string): Said[] {
    if (kind === 'content') return content(text);
    if (kind === 'reasoning') return reasoning(text);
    return kind === 'arguments' && text !== '' ? [{ kind, text }] : [];
  }
}

interface End {
  readonly found: ReturnType<typeof firstMark>;
  /** Of the text that is the message's. */
  readonly end: number;
}

/** Whether JSON text that is read character by character is within a string. */
class JsonString {
  isOpen = false;
  #escaped = false;

  take(character: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (this.isOpen && character === '\\') this.#escaped = true;
    else if (character === '"') this.isOpen = !this.isOpen;
  }
}

/** Whether an answer that begins so begins with a header, as far as it is there. */
function mayBeHeader(text: string): boolean {
  const begun = text.trimStart();
  return [START, CHANNEL, MESSAGE, 'to='].some((mark) => begun.startsWith(mark) || mark.startsWith(begun));
}
