/*
 * Parses the part of Python's `re` syntax that module patterns use. Whatever Python would read differently, or whatever
 * is not worth supporting, is an error: a pattern is never understood in two ways.
 */

/** Tells whether a character (code point) belongs to a class. */
export type CharacterTest = (code: number) => boolean;

export type RegexNode =
  | { readonly kind: 'character'; readonly test: CharacterTest }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'alternatives'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly item: RegexNode; readonly min: number; readonly max: number }
  | { readonly kind: 'anchor'; readonly at: 'start' | 'end' | 'boundary' | 'inside' }
  | { readonly kind: 'lookahead'; readonly item: RegexNode; readonly negative: boolean };

export class PythonRegexError extends Error {
  override readonly name = 'PythonRegexError';
}

const MAX_PATTERN_CHARACTERS = 4000;
const MAX_NESTING = 50;
const MAX_REPEAT = 1000;

const digit: CharacterTest = (c) => c >= 0x30 && c <= 0x39;
export const wordCharacter: CharacterTest = (c) =>
  digit(c) || (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a) || c === 0x5f;
const space: CharacterTest = (c) => c === 0x20 || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
const not =
  (test: CharacterTest): CharacterTest =>
  (c) =>
    !test(c);
const CLASSES: Readonly<Record<string, CharacterTest>> = {
  d: digit,
  D: not(digit),
  w: wordCharacter,
  W: not(wordCharacter),
  s: space,
  S: not(space),
};
const CONTROL_ESCAPES: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const ANCHOR_ESCAPES = { A: 'start', Z: 'end', b: 'boundary', B: 'inside' } as const;
const isAnchorEscape = (c: string): c is keyof typeof ANCHOR_ESCAPES => Object.hasOwn(ANCHOR_ESCAPES, c);

export function parsePythonRegex(pattern: string): RegexNode {
  if (pattern.length > MAX_PATTERN_CHARACTERS) {
    throw new PythonRegexError(`the pattern is longer than ${MAX_PATTERN_CHARACTERS} characters`);
  }
  return new Parser([...pattern]).whole();
}

class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly text: readonly string[]) {}

  whole(): RegexNode {
    const node = this.alternatives();
    if (this.at < this.text.length) throw this.error('unbalanced parenthesis');
    return node;
  }

  private alternatives(): RegexNode {
    const items = [this.sequence()];
    while (this.take('|')) items.push(this.sequence());
    return items.length === 1 && items[0] ? items[0] : { kind: 'alternatives', items };
  }

  private sequence(): RegexNode {
    const items: RegexNode[] = [];
    while (this.at < this.text.length && this.text[this.at] !== '|' && this.text[this.at] !== ')') {
      items.push(this.quantified());
    }
    return { kind: 'sequence', items };
  }

  private quantified(): RegexNode {
    const item = this.atom();
    const range = this.quantifier();
    if (range === undefined) return item;
    if (item.kind === 'anchor') throw this.error('nothing to repeat');
    // Lazy or not makes no difference to whether a name matches.
    if (!this.take('?') && this.take('+')) throw this.error('possessive quantifiers are not supported');
    if (this.quantifier() !== undefined) throw this.error('multiple repeat');
    return { kind: 'repeat', item, ...range };
  }

  /** Takes `*`, `+`, `?`, `{n}`, `{n,}`, `{,m}` or `{n,m}`; any other brace is a literal, as in Python. */
  private quantifier(): { min: number; max: number } | undefined {
    if (this.take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.take('?')) return { min: 0, max: 1 };
    if (this.text[this.at] !== '{') return undefined;
    const braces = /^\{(\d*)(,?)(\d*)\}/.exec(this.text.slice(this.at, this.at + 30).join(''));
    if (braces === null || braces[0] === '{}') return undefined;
    const [whole, low, comma, high] = braces;
    const min = Number(low || 0);
    const max = comma === '' ? min : high === '' ? Number.POSITIVE_INFINITY : Number(high);
    if (min > max) throw this.error('min repeat greater than max repeat');
    if (min > MAX_REPEAT || (max > MAX_REPEAT && Number.isFinite(max))) {
      throw this.error(`more than ${MAX_REPEAT} repeats are not supported`);
    }
    this.at += whole.length;
    return { min, max };
  }

  private atom(): RegexNode {
    const c = this.next();
    switch (c) {
      case '.':
        return { kind: 'character', test: (code) => code !== 10 };
      case '^':
        return { kind: 'anchor', at: 'start' };
      case '$':
        return { kind: 'anchor', at: 'end' };
      case '(':
        return this.group();
      case '[':
        return { kind: 'character', test: this.set() };
      case '\\':
        return this.escape();
      case '*':
      case '+':
      case '?':
        throw this.error('nothing to repeat');
      default:
        if (c === '{') {
          this.at -= 1;
          if (this.quantifier() !== undefined) throw this.error('nothing to repeat');
          this.at += 1;
        }
        return literal(c);
    }
  }

  private group(): RegexNode {
    const lookahead = this.groupKind();
    this.depth += 1;
    if (this.depth > MAX_NESTING) throw this.error(`groups nest deeper than ${MAX_NESTING}`);
    const item = this.alternatives();
    this.depth -= 1;
    if (!this.take(')')) throw this.error('missing )');
    return lookahead === undefined ? item : { kind: 'lookahead', item, negative: lookahead === '!' };
  }

  /** Takes what may follow `(`; answers `=` or `!` for a lookahead. */
  private groupKind(): '=' | '!' | undefined {
    if (!this.take('?')) return undefined;
    if (this.take(':')) return undefined;
    if (this.take('=')) return '=';
    if (this.take('!')) return '!';
    const name = /^P<[A-Za-z_][A-Za-z0-9_]*>/.exec(this.text.slice(this.at, this.at + 100).join(''));
    if (name === null)
      throw this.error('of the (?...) groups only (?:, (?=, (?! and (?P<name> are supported');
    this.at += name[0].length;
    return undefined;
  }

  private escape(): RegexNode {
    const c = this.next();
    if (isAnchorEscape(c)) return { kind: 'anchor', at: ANCHOR_ESCAPES[c] };
    if (c >= '1' && c <= '9') throw this.error('back references are not supported');
    const set = CLASSES[c];
    return set === undefined ? literal(this.escapedCharacter(c)) : { kind: 'character', test: set };
  }

  private escapedCharacter(c: string): string {
    const control = CONTROL_ESCAPES[c];
    if (control !== undefined) return String.fromCodePoint(control);
    if (/[A-Za-z0-9]/.test(c)) throw this.error(`the escape \\${c} is not supported`);
    return c;
  }

  private set(): CharacterTest {
    const negative = this.take('^');
    const tests: CharacterTest[] = [];
    // A bracket in first place is a literal.
    do {
      tests.push(this.setItem());
    } while (!this.take(']'));
    const any: CharacterTest = (code) => tests.some((test) => test(code));
    return negative ? not(any) : any;
  }

  private setItem(): CharacterTest {
    const low = this.setCharacter();
    if (
      this.text[this.at] !== '-' ||
      this.text[this.at + 1] === ']' ||
      this.text[this.at + 1] === undefined
    ) {
      return typeof low === 'string' ? equals(low) : low;
    }
    this.at += 1;
    const high = this.setCharacter();
    if (typeof low !== 'string' || typeof high !== 'string') throw this.error('bad character range');
    const from = codeOf(low);
    const to = codeOf(high);
    if (from > to) throw this.error('bad character range');
    return (code) => code >= from && code <= to;
  }

  private setCharacter(): string | CharacterTest {
    const c = this.next();
    if (c !== '\\') return c;
    const escaped = this.next();
    return CLASSES[escaped] ?? (escaped === 'b' ? '\b' : this.escapedCharacter(escaped));
  }

  private next(): string {
    const c = this.text[this.at];
    if (c === undefined) throw this.error('the pattern ends too early');
    this.at += 1;
    return c;
  }

  private take(c: string): boolean {
    if (this.text[this.at] !== c) return false;
    this.at += 1;
    return true;
  }

  private error(message: string): PythonRegexError {
    return new PythonRegexError(`${message} at position ${this.at}`);
  }
}

const codeOf = (c: string): number => c.codePointAt(0) ?? 0;
function equals(c: string): CharacterTest {
  const expected = codeOf(c);
  return (code) => code === expected;
}
const literal = (c: string): RegexNode => ({ kind: 'character', test: equals(c) });
