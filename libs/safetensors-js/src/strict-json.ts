/*
 * JSON as RFC 8259 has it, for input that nobody should have to guess about: JSON.parse keeps the last of two equal
 * keys, rounds large integers and passes over lone surrogates; here each of them is an error with its place.
 */

export type StrictJsonValue =
  | null
  | boolean
  | number
  | string
  | StrictJsonValue[]
  | { [key: string]: StrictJsonValue };

export type StrictJsonErrorCode =
  | 'syntax'
  | 'duplicate_key'
  | 'number_out_of_range'
  | 'not_a_number'
  | 'lone_surrogate'
  | 'too_deep';

export class StrictJsonError extends Error {
  override readonly name = 'StrictJsonError';
  constructor(
    readonly code: StrictJsonErrorCode,
    message: string,
    /** Index of the UTF-16 unit where it was seen. */
    readonly offset: number,
    /** Keys from the root down to the fault. */
    readonly path: readonly string[],
  ) {
    super(`${message} at offset ${offset}${path.length > 0 ? ` (in ${path.join('.')})` : ''}`);
  }
}

export interface StrictJsonLimits {
  /** Nesting of arrays and objects. */
  readonly maxDepth?: number;
}

const DEFAULT_MAX_DEPTH = 64;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** What Python's json module writes although JSON has no such thing. */
const PYTHON_NUMBER = /-?Infinity|NaN/y;
/** In a pattern with the flag u, a well-formed pair is one character and does not match. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const HEX4 = /[0-9a-fA-F]{4}/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Objects have no prototype, so every key, `__proto__` too, is an ordinary one. */
export function parseStrictJson(text: string, limits: StrictJsonLimits = {}): StrictJsonValue {
  return new Parser(text, limits.maxDepth ?? DEFAULT_MAX_DEPTH).document();
}

class Parser {
  private at = 0;
  private readonly path: string[] = [];

  constructor(
    private readonly text: string,
    private readonly maxDepth: number,
  ) {}

  document(): StrictJsonValue {
    const value = this.value(0);
    this.skipSpace();
    if (this.at < this.text.length) this.fail('syntax', 'Unexpected text after the end of the value');
    return value;
  }

  private value(depth: number): StrictJsonValue {
    if (depth > this.maxDepth) this.fail('too_deep', `More than ${this.maxDepth} levels of nesting`);
    this.skipSpace();
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  private object(depth: number): StrictJsonValue {
    const result = Object.create(null) as { [key: string]: StrictJsonValue };
    this.at += 1;
    this.skipSpace();
    if (this.take('}')) return result;
    for (;;) {
      this.skipSpace();
      const keyAt = this.at;
      if (this.text[this.at] !== '"') this.fail('syntax', 'Expected a key in double quotes');
      const key = this.string();
      this.path.push(key);
      if (key in result) this.fail('duplicate_key', `The key ${JSON.stringify(key)} occurs twice`, keyAt);
      this.skipSpace();
      if (!this.take(':')) this.fail('syntax', "Expected ':'");
      result[key] = this.value(depth + 1);
      this.path.pop();
      this.skipSpace();
      if (this.take('}')) return result;
      if (!this.take(',')) this.fail('syntax', "Expected ',' or '}'");
    }
  }

  private array(depth: number): StrictJsonValue[] {
    const result: StrictJsonValue[] = [];
    this.at += 1;
    this.skipSpace();
    if (this.take(']')) return result;
    for (;;) {
      result.push(this.value(depth + 1));
      this.skipSpace();
      if (this.take(']')) return result;
      if (!this.take(',')) this.fail('syntax', "Expected ',' or ']'");
    }
  }

  private string(): string {
    const start = this.at;
    this.at += 1;
    let result = '';
    for (;;) {
      result += this.plainCharacters();
      const next = this.text[this.at];
      if (next === '"') break;
      if (next !== '\\') {
        this.fail(
          'syntax',
          next === undefined ? 'The text ends inside a string' : 'Control character in a string',
        );
      }
      result += this.escape();
    }
    this.at += 1;
    if (LONE_SURROGATE.test(result)) this.fail('lone_surrogate', 'Half a surrogate pair in a string', start);
    return result;
  }

  /** Up to the next quote, escape, control character or the end. */
  private plainCharacters(): string {
    const start = this.at;
    for (; this.at < this.text.length; this.at += 1) {
      const c = this.text.charCodeAt(this.at);
      if (c < 0x20 || c === 0x22 || c === 0x5c) break;
    }
    return this.text.slice(start, this.at);
  }

  private escape(): string {
    const letter = this.text[this.at + 1] ?? '';
    if (letter === 'u') {
      this.at += 2;
      const hex = this.match(HEX4);
      if (hex === undefined) this.fail('syntax', 'Expected four hexadecimal digits after \\u');
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const character = ESCAPES[letter];
    if (character === undefined) this.fail('syntax', 'Unknown escape in a string');
    this.at += 2;
    return character;
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail('syntax', 'Expected a value');
    this.at += word.length;
    return value;
  }

  private number(): number {
    const start = this.at;
    const lexeme = this.match(NUMBER);
    if (lexeme === undefined || lexeme === '') {
      const python = this.match(PYTHON_NUMBER);
      if (python !== undefined) this.fail('not_a_number', `${python} is not a JSON number`, start);
      this.fail('syntax', this.at < this.text.length ? 'Expected a value' : 'The text ends too early');
    }
    const value = Number(lexeme);
    const exact = !Number.isInteger(value) || Number.isSafeInteger(value);
    if (!Number.isFinite(value) || !exact) {
      this.fail('number_out_of_range', `${lexeme.slice(0, 40)} is too large to be read exactly`, start);
    }
    return value;
  }

  private match(sticky: RegExp): string | undefined {
    sticky.lastIndex = this.at;
    const found = sticky.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private skipSpace(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.at += 1;
    }
  }

  private fail(code: StrictJsonErrorCode, message: string, offset = this.at): never {
    throw new StrictJsonError(code, message, offset, [...this.path]);
  }
}
