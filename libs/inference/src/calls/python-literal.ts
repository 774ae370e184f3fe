/*
 * Python's literals as JSON text: what models write as the arguments of a pythonic call. No expression is evaluated.
 */

const NUMBER = /^[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/;
const WORDS: Readonly<Record<string, string>> = {
  True: 'true',
  False: 'false',
  None: 'null',
  true: 'true',
  false: 'false',
  null: 'null',
};

/** Reads calls and literals from a text; every method throws SyntaxError where it stands at something else. */
export class PythonText {
  #at = 0;

  constructor(private readonly text: string) {}

  get atEnd(): boolean {
    this.#skipSpace();
    return this.#at >= this.text.length;
  }

  /** Whether this comes next; then it is taken. */
  takes(token: string): boolean {
    this.#skipSpace();
    if (!this.text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  expect(token: string): void {
    if (!this.takes(token)) throw new SyntaxError(`expected ${token}`);
  }

  name(): string {
    this.#skipSpace();
    const name = /^[A-Za-z_][\w.-]*/.exec(this.text.slice(this.#at))?.[0];
    if (name === undefined) throw new SyntaxError('expected a name');
    this.#at += name.length;
    return name;
  }

  /** `name=literal, ...` up to the closing bracket, as the JSON text of an object. */
  arguments(): string {
    const members: string[] = [];
    while (!this.takes(')')) {
      if (members.length > 0) this.expect(',');
      if (this.takes(')')) break;
      const name = this.name();
      this.expect('=');
      members.push(`${JSON.stringify(name)}: ${this.literal()}`);
    }
    return `{${members.join(', ')}}`;
  }

  literal(): string {
    this.#skipSpace();
    const rest = this.text.slice(this.#at);
    const first = rest[0] ?? '';
    if (first === '"' || first === "'") return JSON.stringify(this.#string());
    if (first === '[' || first === '(') return this.#list(first === '[' ? ']' : ')');
    if (first === '{') return this.#object();
    const word = /^[A-Za-z]+/.exec(rest)?.[0];
    if (word !== undefined && word in WORDS) {
      this.#at += word.length;
      return WORDS[word] as string;
    }
    const number = NUMBER.exec(rest)?.[0];
    if (number === undefined) throw new SyntaxError('expected a literal');
    this.#at += number.length;
    return jsonNumber(number);
  }

  #list(close: string): string {
    this.#at++;
    const items: string[] = [];
    while (!this.takes(close)) {
      if (items.length > 0) this.expect(',');
      if (this.takes(close)) break;
      items.push(this.literal());
    }
    return `[${items.join(', ')}]`;
  }

  #object(): string {
    this.#at++;
    const members: string[] = [];
    while (!this.takes('}')) {
      if (members.length > 0) this.expect(',');
      if (this.takes('}')) break;
      const key = this.literal();
      this.expect(':');
      members.push(`${key.startsWith('"') ? key : JSON.stringify(key)}: ${this.literal()}`);
    }
    return `{${members.join(', ')}}`;
  }

  #string(): string {
    const quote = this.text.startsWith(this.text[this.#at]?.repeat(3) ?? '', this.#at)
      ? this.text.slice(this.#at, this.#at + 3)
      : (this.text[this.#at] as string);
    this.#at += quote.length;
    let value = '';
    while (!this.text.startsWith(quote, this.#at)) {
      if (this.#at >= this.text.length) throw new SyntaxError('the string has no end');
      value += this.text[this.#at] === '\\' ? this.#escape() : (this.text[this.#at++] as string);
    }
    this.#at += quote.length;
    return value;
  }

  #escape(): string {
    const code = /^\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8}))/.exec(this.text.slice(this.#at));
    if (code) {
      this.#at += code[0].length;
      return String.fromCodePoint(Number.parseInt(code[1] ?? code[2] ?? code[3] ?? '', 16));
    }
    const next = this.text[this.#at + 1] ?? '';
    this.#at += 2;
    return ESCAPES[next] ?? `\\${next}`;
  }

  #skipSpace(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at++;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  '0': '\0',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

/** The same number as JSON writes it: no plus, no underscores, digits on both sides of the point. */
function jsonNumber(text: string): string {
  const [, sign = '', whole = '', fraction, exponent = ''] =
    /^([+-]?)(\d*)(?:\.(\d*))?([eE][+-]?\d+)?$/.exec(text.replaceAll('_', '')) ?? [];
  const digits = whole.replace(/^0+(?=\d)/, '') || '0';
  const decimals = fraction === undefined ? '' : `.${fraction === '' ? '0' : fraction}`;
  return `${sign === '-' ? '-' : ''}${digits}${decimals}${exponent}`;
}
