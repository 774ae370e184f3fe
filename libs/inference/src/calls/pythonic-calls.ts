import { PythonText } from './python-literal.js';
import { content, type Reader, type Said } from './reader.js';

interface Call {
  readonly name: string;
  readonly arguments: string;
}

/** Answers that are a list of Python calls, `[search(query="x", limit=3), now()]`: known when the list is whole. */
export class PythonicCalls implements Reader {
  #state: 'before' | 'list' | 'text' = 'before';
  #held = '';

  constructor(
    private readonly opens: readonly string[],
    private readonly isTool: (name: string) => boolean,
  ) {}

  push(text: string): Said[] {
    if (this.#state === 'text') return content(text);
    this.#held += text;
    if (this.#state === 'before' && !this.#mayBeList()) return this.#asText();
    return [];
  }

  end(): Said[] {
    if (this.#state === 'text') return [];
    const calls = this.#calls();
    if (calls === undefined) return this.#asText();
    this.#held = '';
    return calls.flatMap(({ name, arguments: text }): Said[] => [
      { kind: 'call', name },
      { kind: 'arguments', text },
    ]);
  }

  /** Whether the answer begins as a list of calls does, as far as it is there. */
  #mayBeList(): boolean {
    const text = this.#unmarked();
    if (text === '' || this.opens.some((mark) => mark.startsWith(text))) return true;
    const begun = /^\[\s*(?:([A-Za-z_][\w.-]*)\s*(\()?)?/.exec(text);
    if (!begun) return false;
    const [all, name, bracket] = begun;
    if (bracket === undefined) return all.length === text.length;
    this.#state = 'list';
    return this.isTool(name ?? '');
  }

  #unmarked(): string {
    const text = this.#held.trimStart();
    const mark = this.opens.find((each) => text.startsWith(each));
    return mark === undefined ? text : text.slice(mark.length).trimStart();
  }

  #calls(): Call[] | undefined {
    const python = new PythonText(this.#unmarked());
    const calls: Call[] = [];
    try {
      python.expect('[');
      while (!python.takes(']')) {
        if (calls.length > 0) python.expect(',');
        const name = python.name();
        python.expect('(');
        calls.push({ name, arguments: python.arguments() });
      }
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
    return calls.length > 0 && python.atEnd && calls.every(({ name }) => this.isTool(name))
      ? calls
      : undefined;
  }

  #asText(): Said[] {
    this.#state = 'text';
    const text = this.#held;
    this.#held = '';
    return content(text);
  }
}
