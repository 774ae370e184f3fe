import { StructureError } from '../errors.js';

/*
 * Python's regular expressions, as Lark's terminals have them, in the words of JavaScript's with the flag `u`. What has no
 * exact counterpart is refused, but for `\d`, `\w` and `\s`, which are ASCII's here: what is written then fits Python's as well.
 */

const SYNTAX = new Set('^$\\.*+?()[]{}|/');
const ALPHANUMERIC = /^[A-Za-z\d]$/;
/** Which mean the same in both. */
const SHARED_ESCAPES = new Set('dwnrtfv');
const ASCII_SPACE = ' \\t\\n\\v\\f\\r';
const EVERY_SPACE = `${ASCII_SPACE}\\x1c-\\x1f\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000`;
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const QUANTIFIER = /(?:[*+?]|\{\d*(?:,\d*)?\})/y;

/** Throws a `StructureError` for what cannot be said in JavaScript's. */
export function javascriptPattern(pattern: string, flags: string): string {
  const unknown = [...flags].find((flag) => !'isu'.includes(flag));
  if (unknown !== undefined) throw refused(`the flag "${unknown}" of a pattern`);
  return new PatternWriter(pattern, flags.includes('i'), flags.includes('s')).whole();
}

/** A character, and its other case where the pattern does not tell them apart. */
export function casesOf(character: string): string[] {
  const others = [character.toLowerCase(), character.toUpperCase()];
  return [...new Set([character, ...others.filter((other) => [...other].length === 1)])];
}

const refused = (what: string) => new StructureError('unsupported', `${what} cannot be enforced`);

class PatternWriter {
  #at = 0;

  constructor(
    private readonly pattern: string,
    private readonly ignoresCase: boolean,
    private readonly dotIsAll: boolean,
  ) {}

  whole(): string {
    let written = '';
    while (this.#at < this.pattern.length) written += this.#item() + this.#quantifier();
    return written;
  }

  #item(): string {
    const character = this.#take();
    if (character === '\\') return this.#escape();
    if (character === '[') return this.#class();
    if (character === '.') return this.dotIsAll ? '[\\s\\S]' : '[^\\n]';
    if (character === '^' || character === '$') throw refused(`"${character}" in a pattern`);
    if (character === '(') return this.#group();
    if (character === '|' || character === ')') return character;
    if ('*+?'.includes(character))
      throw new StructureError('invalid', `"${character}" in a pattern repeats nothing`);
    return this.#anyCase(character);
  }

  /** Lazy or possessive ones make a difference to a lexer, but not to a language. */
  #quantifier(): string {
    QUANTIFIER.lastIndex = this.#at;
    const found = QUANTIFIER.exec(this.pattern)?.[0];
    if (found === undefined) return '';
    this.#at += found.length;
    const next = this.pattern[this.#at];
    if (next === '?' || next === '+') throw refused(`the repetition "${found}${next}"`);
    if (found[0] !== '{') return found;
    if (found === '{}' || found === '{,}') throw refused(`the repetition "${found}"`);
    return found.startsWith('{,') ? `{0${found.slice(1)}` : found;
  }

  #group(): string {
    if (this.pattern[this.#at] !== '?') return '(?:';
    const named = /\?P<\w+>|\?:/y;
    named.lastIndex = this.#at;
    const found = named.exec(this.pattern)?.[0];
    if (found === undefined) throw refused(`the group "(${this.pattern.slice(this.#at, this.#at + 3)}"`);
    this.#at += found.length;
    return '(?:';
  }

  #escape(): string {
    const letter = this.#take();
    if (letter === 'D') return '\\P{Nd}';
    if (letter === 'W') return '[^\\p{L}\\p{N}_]';
    if (letter === 'S') return `[^${EVERY_SPACE}]`;
    if (letter === 's') return `[${ASCII_SPACE}]`;
    const codePoint = this.#codePoint(letter);
    if (codePoint !== undefined) return this.#anyCase(codePoint);
    if (SHARED_ESCAPES.has(letter)) return `\\${letter}`;
    if (letter === '' || ALPHANUMERIC.test(letter)) throw refused(`"\\${letter}" in a pattern`);
    return literal(letter);
  }

  #class(): string {
    const negated = this.pattern[this.#at] === '^';
    if (negated) this.#at++;
    let members = '';
    for (let first = true; first || this.pattern[this.#at] !== ']'; first = false) {
      if (this.#at >= this.pattern.length)
        throw new StructureError('invalid', 'a class of a pattern does not end');
      members += this.#members(negated);
    }
    this.#at++;
    return `[${negated ? '^' : ''}${members}]`;
  }

  /** The next member of a class, or range of them. */
  #members(negated: boolean): string {
    const first = this.#member(negated);
    const isRange = this.pattern[this.#at] === '-' && (this.pattern[this.#at + 1] ?? ']') !== ']';
    if (!isRange) return first.character === undefined ? first.text : this.#casesInClass(first.character);
    this.#at++;
    const last = this.#member(negated);
    if (first.character === undefined || last.character === undefined)
      throw new StructureError('invalid', 'a range in a pattern has no bounds');
    const written = `${inClass(first.character)}-${inClass(last.character)}`;
    if (!this.ignoresCase) return written;
    const [from, to] = [first.character, last.character];
    const isLetters = /^(?:[a-z]{2}|[A-Z]{2})$/.test(from + to);
    if (!isLetters && !/^[^A-Za-z\u0080-\u{10ffff}]{2}$/u.test(from + to))
      throw refused(`the range ${from}-${to} with the flag "i"`);
    const [swapped] = casesOf(from).slice(1);
    return isLetters && swapped ? `${written}${swapped}-${casesOf(to).slice(1)[0] ?? to}` : written;
  }

  #member(negated: boolean): { readonly text: string; readonly character?: string } {
    const character = this.#take();
    if (character !== '\\') return { text: inClass(character), character };
    const letter = this.#take();
    const codePoint = this.#codePoint(letter);
    if (codePoint !== undefined) return { text: inClass(codePoint), character: codePoint };
    if (letter === 'd' || letter === 'w') {
      const all = letter === 'd' ? '\\p{Nd}' : '\\p{L}\\p{N}_';
      return { text: negated ? all : `\\${letter}` };
    }
    if (letter === 's') return { text: negated ? EVERY_SPACE : ASCII_SPACE };
    if (letter === 'b') return { text: '\\b', character: '\b' };
    if (SHARED_ESCAPES.has(letter)) return { text: `\\${letter}`, character: CONTROLS[letter] ?? '' };
    if (letter === '' || ALPHANUMERIC.test(letter)) throw refused(`"\\${letter}" in a class of a pattern`);
    return { text: inClass(letter), character: letter };
  }

  /** The character that a hexadecimal escape stands for. */
  #codePoint(letter: string): string | undefined {
    const digits = HEX_DIGITS[letter];
    if (digits === undefined) return undefined;
    const written = this.pattern.slice(this.#at, this.#at + digits);
    const value = Number.parseInt(written, 16);
    if (!new RegExp(`^[\\dA-Fa-f]{${digits}}$`).test(written) || value > 0x10ffff)
      throw new StructureError('invalid', `"\\${letter}" in a pattern needs ${digits} hexadecimal digits`);
    this.#at += digits;
    return String.fromCodePoint(value);
  }

  #anyCase(character: string): string {
    const cases = this.ignoresCase ? casesOf(character) : [character];
    return cases.length > 1 ? `[${cases.map(inClass).join('')}]` : literal(character);
  }

  #casesInClass(character: string): string {
    return (this.ignoresCase ? casesOf(character) : [character]).map(inClass).join('');
  }

  #take(): string {
    const codePoint = this.pattern.codePointAt(this.#at);
    if (codePoint === undefined) return '';
    const character = String.fromCodePoint(codePoint);
    this.#at += character.length;
    return character;
  }
}

const CONTROLS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v' };

const literal = (character: string): string => (SYNTAX.has(character) ? `\\${character}` : character);
const inClass = (character: string): string => ('\\]^-['.includes(character) ? `\\${character}` : character);
