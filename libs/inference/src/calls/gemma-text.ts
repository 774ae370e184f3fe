/** Reads `call:name{key:value, ...}`, in which texts stand between a mark of their own. */
export class GemmaText {
  #at = 0;

  private constructor(
    private readonly text: string,
    private readonly quote: string,
  ) {}

  /** Arguments as JSON text; undefined where it is no call. */
  static callOf(text: string, quote: string): { name: string; arguments: string } | undefined {
    const head = /^\s*call:\s*([A-Za-z_][\w.-]*)\s*(?=\{)/.exec(text);
    if (!head) return undefined;
    const reader = new GemmaText(text.slice(head[0].length).trimEnd(), quote);
    try {
      const members = reader.#object();
      return reader.#at === reader.text.length ? { name: head[1] as string, arguments: members } : undefined;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #object(): string {
    return this.#items('{', '}', () => {
      const key = this.#takes(this.quote) ? this.#quoted() : this.#bare(':').trim();
      if (!this.#takes(':')) throw new SyntaxError('expected a colon');
      return `${JSON.stringify(key)}: ${this.#value()}`;
    });
  }

  #value(): string {
    this.#skipSpace();
    if (this.#takes(this.quote)) return JSON.stringify(this.#quoted());
    if (this.text[this.#at] === '{') return this.#object();
    if (this.text[this.#at] === '[') return this.#items('[', ']', () => this.#value());
    const word = this.#bare(',}]').trim();
    return /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(word)
      ? word
      : JSON.stringify(word);
  }

  #items(open: string, close: string, item: () => string): string {
    if (!this.#takes(open)) throw new SyntaxError(`expected ${open}`);
    const items: string[] = [];
    while (!this.#takes(close)) {
      if (items.length > 0 && !this.#takes(',')) throw new SyntaxError('expected a comma');
      items.push(item());
    }
    return `${open}${items.join(', ')}${close}`;
  }

  #quoted(): string {
    const end = this.text.indexOf(this.quote, this.#at);
    if (end < 0) throw new SyntaxError('the text has no end');
    const value = this.text.slice(this.#at, end);
    this.#at = end + this.quote.length;
    return value;
  }

  /** Up to one of these characters. */
  #bare(ends: string): string {
    const begin = this.#at;
    while (this.#at < this.text.length && !ends.includes(this.text[this.#at] as string)) this.#at++;
    if (this.#at >= this.text.length) throw new SyntaxError('the value has no end');
    return this.text.slice(begin, this.#at);
  }

  #takes(token: string): boolean {
    this.#skipSpace();
    if (!this.text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #skipSpace(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at++;
  }
}
