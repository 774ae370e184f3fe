import { TemplateSyntaxError } from './errors.js';
import { unescapeString } from './string-literal.js';
import { plain, SPACE } from './text.js';
import { strip } from './text-search.js';

export type TokenType =
  | 'data'
  | 'block_begin'
  | 'block_end'
  | 'variable_begin'
  | 'variable_end'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'eof';

export interface Token {
  readonly type: TokenType;
  /** Text of data, names and strings; digits of numbers; the operator. */
  readonly value: string;
  readonly line: number;
}

const S = `[${SPACE}]`;
/** Up to the next tag: its text, then the tag with its whitespace sign. */
const TAG = new RegExp(`\\{%([-+]?)${S}*raw${S}*(?:-%\\}${S}*|%\\})|\\{([{%#])([-+]?)`, 'g');
const END_OF: Readonly<Record<'{' | '%' | '#', RegExp>> = {
  '{': new RegExp(`-\\}\\}${S}*|\\}\\}`, 'y'),
  '%': new RegExp(`\\+%\\}|-%\\}${S}*|%\\}\\n?`, 'y'),
  '#': new RegExp(`\\+#\\}|-#\\}${S}*|#\\}\\n?`, 'g'),
};
const END_OF_RAW = new RegExp(`\\{%([-+]?)${S}*endraw${S}*(?:\\+%\\}|-%\\}${S}*|%\\}\\n?)`, 'g');
const ONLY_SPACE = new RegExp(`^${S}*$`);

const WHITESPACE = new RegExp(`${S}+`, 'y');
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{N}\p{M}_]+/uy;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATOR = /==|!=|>=|<=|\/\/|\*\*|[-+*/%~[\](){}<>=.:|,;]/y;
const IDENTIFIER = /^[\p{ID_Start}_]\p{ID_Continue}*$/u;
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** A template's tokens, as Jinja2 with trim_blocks and lstrip_blocks cuts them. */
export function tokenize(template: string): Token[] {
  return new Lexer(template).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** The last match ended with a newline, so that a tag may stand at the beginning of a line. */
  #lineStarts = true;

  constructor(template: string) {
    const lines = template.replace(/\r\n|\r/g, '\n');
    this.#source = lines.endsWith('\n') ? lines.slice(0, -1) : lines;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) this.#root();
    this.#push('eof', '');
    return this.#tokens;
  }

  #root(): void {
    TAG.lastIndex = this.#at;
    const match = TAG.exec(this.#source);
    if (match === null) {
      this.#data(this.#source.slice(this.#at));
      this.#advance(this.#source.length);
      return;
    }
    const [whole, rawSign, kind, sign = rawSign ?? ''] = match;
    const text = this.#source.slice(this.#at, match.index);
    this.#data(this.#stripped(text, sign, kind !== '{'));
    this.#advance(match.index + whole.length);
    if (kind === undefined) this.#raw();
    else if (kind === '#') this.#comment();
    else this.#tag(kind as '{' | '%');
  }

  /** `-` strips all whitespace before a tag; a block alone at the beginning of its line loses its indentation. */
  #stripped(text: string, sign: string, isBlock: boolean): string {
    if (sign === '-') return plain(strip(text, 'right'));
    if (sign === '+' || !isBlock) return text;
    const lineBegin = text.lastIndexOf('\n') + 1;
    const mayStrip = lineBegin > 0 || this.#lineStarts;
    return mayStrip && ONLY_SPACE.test(text.slice(lineBegin)) ? text.slice(0, lineBegin) : text;
  }

  #data(text: string): void {
    if (text !== '') this.#push('data', text);
  }

  #comment(): void {
    const end = END_OF['#'];
    end.lastIndex = this.#at;
    if (end.exec(this.#source) === null) throw this.#error('Missing end of comment tag');
    this.#advance(end.lastIndex);
  }

  #raw(): void {
    END_OF_RAW.lastIndex = this.#at;
    const match = END_OF_RAW.exec(this.#source);
    if (match === null) throw this.#error('Missing end of raw directive');
    const text = this.#source.slice(this.#at, match.index);
    this.#data(this.#stripped(text, match[1] ?? '', true));
    this.#advance(END_OF_RAW.lastIndex);
  }

  #tag(kind: '{' | '%'): void {
    const name = kind === '{' ? 'variable' : 'block';
    this.#push(`${name}_begin`, '');
    const open: string[] = [];
    while (!(open.length === 0 && this.#take(END_OF[kind]) !== undefined)) this.#inTag(open);
    this.#push(`${name}_end`, '');
  }

  #inTag(open: string[]): void {
    if (this.#take(WHITESPACE) !== undefined) return;
    const previous = this.#source[this.#at - 1];
    const float = previous === '.' ? undefined : this.#take(FLOAT);
    if (float !== undefined) return this.#push('float', float.replaceAll('_', ''));
    const integer = this.#take(INTEGER);
    if (integer !== undefined) return this.#push('integer', integer.replaceAll('_', ''));
    const name = this.#take(NAME);
    if (name !== undefined) {
      if (!IDENTIFIER.test(name)) throw this.#error('Invalid character in identifier');
      return this.#push('name', name);
    }
    const string = this.#take(STRING);
    if (string !== undefined) return this.#push('string', this.#unescape(string.slice(1, -1)));
    const operator = this.#take(OPERATOR);
    if (operator === undefined) {
      const character = this.#source.slice(this.#at, this.#at + 1);
      throw this.#error(character === '' ? 'unexpected end of template' : `unexpected char '${character}'`);
    }
    this.#balance(operator, open);
    this.#push('operator', operator);
  }

  #unescape(body: string): string {
    try {
      return unescapeString(body);
    } catch (error) {
      throw this.#error((error as Error).message);
    }
  }

  #balance(operator: string, open: string[]): void {
    const closing = CLOSING[operator];
    if (closing !== undefined) open.push(closing);
    if (operator !== ')' && operator !== ']' && operator !== '}') return;
    const expected = open.pop();
    if (expected === undefined) throw this.#error(`unexpected '${operator}'`);
    if (expected !== operator) throw this.#error(`unexpected '${operator}', expected '${expected}'`);
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source);
    if (match === null) return undefined;
    this.#advance(this.#at + match[0].length);
    return match[0];
  }

  #advance(to: number): void {
    for (
      let i = this.#source.indexOf('\n', this.#at);
      i >= 0 && i < to;
      i = this.#source.indexOf('\n', i + 1)
    ) {
      this.#line++;
    }
    this.#lineStarts = this.#source[to - 1] === '\n';
    this.#at = to;
  }

  #push(type: TokenType, value: string): void {
    this.#tokens.push({ type, value, line: this.#line });
  }

  #error(message: string): TemplateSyntaxError {
    return new TemplateSyntaxError(message, this.#line);
  }
}
