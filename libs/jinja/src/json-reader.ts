import { marked, type Text } from './text.js';
import { Dict, type Value } from './values.js';

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y;
/** Escapes, and characters that JSON does not allow as they are. */
const NEEDS_READING = /\\|[^ -\uffff]/;
const LITERALS: readonly (readonly [string, Value])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
];
const DEEPEST = 500;

class JsonSyntaxError extends Error {}

/**
 * JSON as Python's json.loads reads it: 1 is an int (of any size), 1.0 a float, a key that occurs twice has its last
 * value. With `outside` every text in it, keys included, is marked as coming from outside.
 */
export function readJson(source: string, outside: boolean): Value {
  return new Reader(source, outside).document();
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

class Reader {
  #at = 0;

  constructor(
    private readonly source: string,
    private readonly outside: boolean,
  ) {}

  document(): Value {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.source.length) throw this.#error();
    return value;
  }

  #value(depth: number): Value {
    if (depth > DEEPEST) throw new JsonSyntaxError(`nested deeper than ${DEEPEST}`);
    this.#skipSpace();
    const character = this.source[this.#at];
    if (character === '"') return this.#text();
    if (character === '{') return this.#object(depth);
    if (character === '[') return this.#array(depth);
    const number = this.#match(NUMBER);
    if (number !== null) {
      const [whole, fraction, exponent] = number;
      return fraction === undefined && exponent === undefined ? BigInt(whole) : Number(whole);
    }
    for (const [word, value] of LITERALS) {
      if (this.source.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    throw this.#error();
  }

  #text(): Text {
    if (this.source[this.#at] !== '"') throw this.#error();
    const end = this.#endOfText();
    const body = this.source.slice(this.#at + 1, end);
    const text = NEEDS_READING.test(body) ? this.#unescape(this.source.slice(this.#at, end + 1)) : body;
    this.#at = end + 1;
    return this.outside ? marked(text) : text;
  }

  /** The quote that is not behind an odd number of backslashes. */
  #endOfText(): number {
    for (
      let end = this.source.indexOf('"', this.#at + 1);
      end >= 0;
      end = this.source.indexOf('"', end + 1)
    ) {
      let backslashes = 0;
      while (this.source[end - 1 - backslashes] === '\\') backslashes++;
      if (backslashes % 2 === 0) return end;
    }
    throw this.#error();
  }

  #unescape(literal: string): string {
    try {
      return JSON.parse(literal) as string;
    } catch {
      throw this.#error();
    }
  }

  #object(depth: number): Value {
    const dict = new Dict();
    this.#at++;
    if (this.#skip('}')) return dict;
    do {
      this.#skipSpace();
      const key = this.#text();
      if (!this.#skip(':')) throw this.#error();
      dict.set(key, this.#value(depth + 1));
    } while (this.#skip(','));
    if (!this.#skip('}')) throw this.#error();
    return dict;
  }

  #array(depth: number): Value {
    const items: Value[] = [];
    this.#at++;
    if (this.#skip(']')) return items;
    do items.push(this.#value(depth + 1));
    while (this.#skip(','));
    if (!this.#skip(']')) throw this.#error();
    return items;
  }

  #skipSpace(): void {
    for (
      let code = this.source.charCodeAt(this.#at);
      isSpace(code);
      code = this.source.charCodeAt(this.#at)
    ) {
      this.#at++;
    }
  }

  #skip(character: string): boolean {
    this.#skipSpace();
    if (this.source[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.source);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #error(): JsonSyntaxError {
    return new JsonSyntaxError(`not valid JSON at character ${this.#at}`);
  }
}
