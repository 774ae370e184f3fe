import { TemplateSyntaxError } from './errors.js';
import type { Token, TokenType } from './lexer.js';

const END: Token = { type: 'eof', value: '', line: 0 };

/** The parser's place in the tokens. */
export class TokenStream {
  #at = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  get current(): Token {
    return this.tokens[this.#at] ?? this.tokens.at(-1) ?? END;
  }

  get following(): Token {
    return this.tokens[this.#at + 1] ?? END;
  }

  next(): Token {
    const token = this.current;
    this.#at++;
    return token;
  }

  isType(...types: readonly TokenType[]): boolean {
    return types.includes(this.current.type);
  }

  isOperator(...operators: readonly string[]): boolean {
    return this.current.type === 'operator' && operators.includes(this.current.value);
  }

  isName(...names: readonly string[]): boolean {
    return this.current.type === 'name' && names.includes(this.current.value);
  }

  skipOperator(operator: string): boolean {
    if (!this.isOperator(operator)) return false;
    this.#at++;
    return true;
  }

  skipName(name: string): boolean {
    if (!this.isName(name)) return false;
    this.#at++;
    return true;
  }

  expectOperator(operator: string): Token {
    if (!this.isOperator(operator)) throw this.unexpected(`'${operator}'`);
    return this.next();
  }

  expectName(name?: string): Token {
    if (this.current.type !== 'name' || (name !== undefined && this.current.value !== name)) {
      throw this.unexpected(name === undefined ? 'a name' : `'${name}'`);
    }
    return this.next();
  }

  expectType(type: TokenType): Token {
    if (this.current.type !== type) throw this.unexpected(DESCRIPTIONS[type] ?? type);
    return this.next();
  }

  unexpected(expected: string): TemplateSyntaxError {
    return this.error(`expected ${expected}, got ${describe(this.current)}`);
  }

  error(message: string): TemplateSyntaxError {
    return new TemplateSyntaxError(message, this.current.line);
  }
}

const DESCRIPTIONS: Partial<Record<TokenType, string>> = {
  block_end: "the end of the tag ('%}')",
  variable_end: "the end of the expression ('}}')",
  eof: 'the end of the template',
  data: 'text',
};

export function describe(token: Token): string {
  return DESCRIPTIONS[token.type] ?? `'${token.value}'`;
}
