import { type CodePoints, complement, LONE_SURROGATE, single, union } from '../automaton/code-points.js';
import { StructureError } from '../errors.js';
import type { GrammarTools } from '../grammar-tools.js';
import { classOf } from '../regex/classes.js';
import { choice, type Expression, NOTHING, repeat, rule, sequence, text } from './expression.js';
import { anyCharacters, characters } from './utf8.js';

/** More repetitions than this are refused. */
const MOST_REPEATS = 10_000;

/**
 * A grammar in EBNF as the engines of vLLM take it: rules `name ::= ...` from `root` on, with texts, classes, groups,
 * `|`, `*`, `+`, `?`, `{m,n}` and comments after `#`. Throws a `StructureError` with the line at fault.
 */
export function parseGrammar(source: string, tools: GrammarTools): Expression {
  tools.budget.input(source.length);
  return new GrammarParser(source, tools).root();
}

const NAME = /[A-Za-z_][\w.-]*/y;
const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, b: 8, f: 12, v: 11, a: 7, 0: 0 };
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

class GrammarParser {
  readonly #names = new Map<string, { readonly rule: string; isDefined: boolean; readonly at: number }>();
  /** Of characters beyond ASCII. */
  readonly #classes = new Map<Expression, CodePoints>();
  #at = 0;
  #depth = 0;

  constructor(
    private readonly source: string,
    private readonly tools: GrammarTools,
  ) {}

  root(): Expression {
    for (this.#skip(); this.#at < this.source.length; this.#skip()) this.#rule();
    for (const [name, { isDefined, at }] of this.#names)
      if (!isDefined) throw this.#fault(`rule ${JSON.stringify(name)} is not defined`, at);
    const root = this.#names.get('root');
    if (root === undefined) throw this.#fault('there is no rule "root"');
    return rule(root.rule);
  }

  #rule(): void {
    const name = this.#name();
    if (name === undefined) throw this.#fault('expected a rule');
    this.#skip();
    if (!this.#takes('::=')) throw this.#fault(`expected "::=" after ${JSON.stringify(name)}`);
    const known = this.#named(name);
    if (known.isDefined) throw this.#fault(`rule ${JSON.stringify(name)} is defined twice`);
    known.isDefined = true;
    this.tools.rules.define(known.rule, this.#choice());
  }

  #named(name: string) {
    let known = this.#names.get(name);
    if (known === undefined) {
      known = { rule: this.tools.rules.reserve('rule'), isDefined: false, at: this.#at };
      this.#names.set(name, known);
    }
    return known;
  }

  #choice(): Expression {
    if (++this.#depth > this.tools.budget.limits.depth)
      throw new StructureError('too_large', 'its groups are nested too deeply');
    const items = [this.#sequence()];
    for (this.#skip(); this.#takes('|'); this.#skip()) items.push(this.#sequence());
    this.#depth--;
    return choice(...items);
  }

  #sequence(): Expression {
    const items: Expression[] = [];
    for (;;) {
      this.#skip();
      this.tools.budget.work(20);
      const item = this.#item();
      if (item === undefined) return sequence(...items);
      items.push(this.#repeated(item));
    }
  }

  /** Undefined: the sequence ends here. */
  #item(): Expression | undefined {
    const character = this.source[this.#at];
    if (character === '"' || character === "'") return this.#text(character);
    if (character === '[') return this.#class();
    if (character === '(') {
      this.#at++;
      if (this.source[this.#at] === '=') throw this.#fault('look-ahead "(=" is not supported');
      const inner = this.#choice();
      if (!this.#takes(')')) throw this.#fault('expected ")"');
      return inner;
    }
    const before = this.#at;
    const name = this.#name();
    if (name === undefined) {
      if (character !== undefined && !'|)'.includes(character))
        throw this.#fault(`unexpected ${JSON.stringify(character)}`);
      return undefined;
    }
    this.#skip();
    if (!this.source.startsWith('::=', this.#at)) return rule(this.#named(name).rule);
    this.#at = before;
    return undefined;
  }

  #repeated(item: Expression): Expression {
    if (this.#takes('*')) return this.#repeated(this.#any(item));
    if (this.#takes('+')) return this.#repeated(sequence(item, this.#any(item)));
    if (this.#takes('?')) return this.#repeated(repeat(item, 0, 1));
    const bounds = /\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}/y;
    bounds.lastIndex = this.#at;
    const found = bounds.exec(this.source);
    if (found === null) {
      if (this.source[this.#at] === '{') throw this.#fault('expected {m}, {m,} or {m,n}');
      return item;
    }
    this.#at = bounds.lastIndex;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] ? Number(found[3]) : undefined;
    if (max !== undefined && max < min) throw this.#fault('a repetition has its bounds in the wrong order');
    if (Math.max(min, max ?? 0) > MOST_REPEATS)
      throw this.#fault(`more than ${MOST_REPEATS} repetitions are not supported`);
    return this.#repeated(repeat(item, min, max));
  }

  /** Any number of it. */
  #any(item: Expression): Expression {
    const set = this.#classes.get(item);
    return set === undefined ? repeat(item, 0) : anyCharacters(set, this.tools.rules);
  }

  #text(quote: string): Expression {
    this.#at++;
    let value = '';
    while (this.source[this.#at] !== quote) {
      const codePoint = this.#character('a text');
      if (typeof codePoint !== 'number') throw this.#fault('a class within a text');
      value += String.fromCodePoint(codePoint);
    }
    this.#at++;
    if (LONE_SURROGATE.test(value)) throw this.#fault('a text is not well-formed Unicode');
    return value === '' ? NOTHING : text(value);
  }

  #class(): Expression {
    this.#at++;
    const negated = this.#takes('^');
    const sets: CodePoints[] = [];
    while (this.source[this.#at] !== ']') {
      const first = this.#character('a class');
      const isRange = this.source[this.#at] === '-' && this.source[this.#at + 1] !== ']';
      if (!isRange || typeof first !== 'number') {
        sets.push(typeof first === 'number' ? single(first) : first);
        continue;
      }
      this.#at++;
      const last = this.#character('a class');
      if (typeof last !== 'number' || last < first)
        throw this.#fault('a range has its bounds in the wrong order');
      sets.push([first, last]);
    }
    this.#at++;
    const set = union(sets);
    const all = negated ? complement(set) : set;
    const expression = characters(all, this.tools.rules);
    if (expression.kind !== 'bytes') this.#classes.set(expression, all);
    return expression;
  }

  /** One character or its escape; a class for `\d`, `\w` and `\s` and their like. */
  #character(within: string): number | CodePoints {
    this.tools.budget.work(5);
    const codePoint = this.source.codePointAt(this.#at);
    if (codePoint === undefined || codePoint === 10) throw this.#fault(`${within} does not end`);
    this.#at += codePoint > 0xffff ? 2 : 1;
    if (codePoint !== 0x5c) return codePoint;
    const letter = this.source[this.#at++] ?? '';
    const digits = HEX_DIGITS[letter];
    if (digits !== undefined) return this.#hex(digits);
    const named = ESCAPES[letter] ?? classOf(letter);
    if (named !== undefined) return named;
    if (letter === '' || /[A-Za-z\d]/.test(letter)) throw this.#fault(`unknown escape "\\${letter}"`);
    return letter.codePointAt(0) as number;
  }

  #hex(digits: number): number {
    const written = this.source.slice(this.#at, this.#at + digits);
    const codePoint = Number.parseInt(written, 16);
    if (!new RegExp(`^[\\dA-Fa-f]{${digits}}$`).test(written) || codePoint > 0x10ffff)
      throw this.#fault(`expected ${digits} hexadecimal digits of a character`);
    this.#at += digits;
    return codePoint;
  }

  #name(): string | undefined {
    NAME.lastIndex = this.#at;
    const found = NAME.exec(this.source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #takes(token: string): boolean {
    if (!this.source.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  /** White space and comments. */
  #skip(): void {
    const blank = /(?:\s|#[^\n]*)*/y;
    blank.lastIndex = this.#at;
    blank.exec(this.source);
    this.#at = blank.lastIndex;
  }

  #fault(message: string, at = this.#at): StructureError {
    const line = this.source.slice(0, at).split('\n').length;
    return new StructureError('invalid', `line ${line}: ${message}`);
  }
}
