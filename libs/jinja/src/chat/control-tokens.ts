import type { Rendered } from '../template.js';
import type { Marks } from '../text.js';

export interface ControlToken {
  /** How the token is spelled in text. */
  readonly content: string;
  /** A spelling that nobody outside this process can know. */
  readonly secret: string;
}

/** A prompt in which only the template speaks control tokens. */
export interface GuardedText {
  /** With `respelled`, every control token of the template is in its secret spelling. */
  readonly text: string;
  /** Text from outside spells a control token, so that the plain spelling must not be read as one. */
  readonly respelled: boolean;
}

/** Finds control tokens that text from outside spells. */
export class ControlTokenGuard {
  readonly #pattern: RegExp | undefined;
  readonly #secrets: ReadonlyMap<string, string>;

  constructor(
    tokens: readonly ControlToken[],
    /** The tokenizer changes text before it looks for tokens, so that other spellings may be one: trust none. */
    private readonly always: boolean,
  ) {
    this.#secrets = new Map(tokens.map(({ content, secret }) => [content, secret]));
    // The longest wins where several begin, as in the tokenizer.
    const spellings = tokens.map(({ content }) => content).sort((a, b) => b.length - a.length);
    this.#pattern = spellings.length === 0 ? undefined : new RegExp(spellings.map(escaped).join('|'), 'gu');
  }

  guard({ text, outside }: Rendered): GuardedText {
    if (this.#pattern === undefined || outside.length === 0) return { text, respelled: false };
    if (!this.always && !this.#isForged(this.#pattern, text, outside)) return { text, respelled: false };
    return { text: this.#respell(this.#pattern, text, outside), respelled: true };
  }

  #isForged(pattern: RegExp, text: string, outside: Marks): boolean {
    let mark = 0;
    for (const match of text.matchAll(pattern)) {
      while (mark < outside.length && (outside[mark + 1] as number) <= match.index) mark += 2;
      if (mark >= outside.length) return false;
      if ((outside[mark] as number) < match.index + match[0].length) return true;
    }
    return false;
  }

  #respell(pattern: RegExp, text: string, outside: Marks): string {
    const respell = (own: string): string =>
      own.replace(pattern, (content) => this.#secrets.get(content) ?? content);
    let result = '';
    let at = 0;
    for (let i = 0; i < outside.length; i += 2) {
      const [begin, end] = [outside[i] as number, outside[i + 1] as number];
      result += respell(text.slice(at, begin)) + text.slice(begin, end);
      at = end;
    }
    return result + respell(text.slice(at));
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
