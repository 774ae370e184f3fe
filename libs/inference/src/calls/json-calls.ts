import { JsonCall } from './json-call.js';
import { firstMark, heldLength, joined, type Reader, type Said } from './reader.js';
import { ShownText } from './shown-text.js';

/** How a family of models marks its calls, each of which is a JSON object. */
export interface JsonCallMarks {
  /** What begins calls, wherever it stands. */
  readonly opens: readonly string[];
  /** What may stand behind a call, or behind all of them. */
  readonly closes: readonly string[];
  /** An answer that begins with the object of a known tool is a call without any mark. */
  readonly bare?: boolean;
  /** The name may stand before its arguments: `name{...}`, `name[ARGS]{...}`, `name[CALL_ID]id[ARGS]{...}`. */
  readonly named?: { readonly id: string; readonly args: string };
}

const NAME = /^[A-Za-z_][\w.-]*/;

/** Calls that are written as JSON between marks (Hermes, Qwen, Mistral, Phi), or as the whole answer (Llama 3). */
export class JsonCalls implements Reader {
  #state: 'text' | 'between' | 'call' = 'text';
  #held = '';
  readonly #shown = new ShownText();
  #call: JsonCall | undefined;
  /** The mark, and what came after it, while it is not sure that a call follows. */
  #mark = '';

  constructor(
    private readonly marks: JsonCallMarks,
    private readonly isTool: (name: string) => boolean,
  ) {}

  push(text: string): Said[] {
    this.#held += text;
    const said: Said[] = [];
    let before: string;
    do {
      before = `${this.#state} ${this.#held.length}`;
      said.push(...this.#step());
    } while (this.#held !== '' && before !== `${this.#state} ${this.#held.length}`);
    return joined(said);
  }

  end(): Said[] {
    const unsure = this.#state === 'call' && !this.#call?.hasBegun ? (this.#call?.raw ?? '') : '';
    const rest = this.#state === 'text' ? this.#held : this.#mark + unsure + this.#restOfUnsure();
    this.#held = '';
    return joined([...this.#shown.say(rest), ...this.#shown.end()]);
  }

  /** Behind a mark after which no call came; behind a call, brackets say nothing. */
  #restOfUnsure(): string {
    return this.#state === 'between' && this.#mark !== '' ? this.#held : '';
  }

  #step(): Said[] {
    if (this.#state === 'text') return this.#text();
    return this.#state === 'between' ? this.#between() : this.#inCall();
  }

  #text(): Said[] {
    const { opens, bare } = this.marks;
    if (bare && this.#shown.isEmpty && this.#held.trimStart().startsWith('{')) {
      this.#begin();
      return [];
    }
    const found = firstMark(this.#held, opens);
    const end = found?.at ?? this.#held.length - heldLength(this.#held, opens);
    const said = this.#shown.say(this.#held.slice(0, end));
    this.#held = this.#held.slice(end);
    if (found) this.#skip(found.mark.length);
    return said;
  }

  /** Behind a mark or a call: brackets, commas and other marks say nothing. */
  #between(): Said[] {
    const { opens, closes, named } = this.marks;
    const rest = this.#held.replace(/^[\s,;]+/, '');
    if (rest === '') return [];
    const all = [...opens, ...closes];
    const mark = all.find((each) => rest.startsWith(each));
    const skipped = this.#held.length - rest.length;
    if (mark !== undefined) {
      this.#skip(skipped + mark.length);
      if (closes.includes(mark) && this.#mark === '') this.#state = 'text';
      return [];
    }
    if (all.some((each) => each.startsWith(rest))) return [];
    if (rest.startsWith('[') || rest.startsWith(']')) {
      this.#skip(skipped + 1);
      return [];
    }
    if (rest.startsWith('{')) {
      this.#skip(skipped);
      this.#begin();
      return [];
    }
    return named && NAME.test(rest) ? this.#named(rest, named) : this.#notACall();
  }

  /** A name before its arguments; waits until these begin. */
  #named(text: string, { id, args }: NonNullable<JsonCallMarks['named']>): Said[] {
    const name = NAME.exec(text)?.[0] ?? '';
    const rest = text.slice(name.length).trimStart();
    const begin = rest.indexOf('{');
    const before = begin < 0 ? rest : rest.slice(0, begin);
    const isMarked = [id, args].some((mark) => before.startsWith(mark) || mark.startsWith(before));
    if (!isMarked) return this.#notACall();
    if (begin < 0) return [];
    this.#held = rest.slice(begin);
    this.#call = JsonCall.ofArguments(name);
    this.#state = 'call';
    this.#called();
    return [{ kind: 'call', name }];
  }

  #begin(): void {
    this.#call = new JsonCall(this.marks.bare ? this.isTool : () => true);
    this.#state = 'call';
  }

  #inCall(): Said[] {
    const call = this.#call as JsonCall;
    const said: Said[] = [];
    let at = 0;
    while (at < this.#held.length && !call.done && !call.failed)
      said.push(...call.take(this.#held[at++] as string));
    this.#held = this.#held.slice(at);
    if (said.length > 0) this.#called();
    if (call.failed && !call.hasBegun) {
      const text = this.#mark + call.raw;
      this.#mark = '';
      this.#state = 'text';
      return this.#shown.say(text);
    }
    if (call.done || call.failed) this.#state = 'between';
    return said;
  }

  #called(): void {
    this.#mark = '';
    this.#shown.called();
  }

  /** Takes away what stands between calls; before the first it may still prove to be text. */
  #skip(length: number): void {
    if (this.#state === 'text' || this.#mark !== '') this.#mark += this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    this.#state = 'between';
  }

  #notACall(): Said[] {
    const mark = this.#mark;
    this.#mark = '';
    this.#state = 'text';
    return this.#shown.say(mark);
  }
}
