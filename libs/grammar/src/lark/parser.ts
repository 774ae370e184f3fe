import { LONE_SURROGATE } from '../automaton/code-points.js';
import {
  choice,
  type Expression,
  NOTHING,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from '../ebnf/expression.js';
import { characters } from '../ebnf/utf8.js';
import { StructureError } from '../errors.js';
import type { GrammarTools } from '../grammar-tools.js';
import { regexExpression } from '../plain-text.js';
import { COMMON_TERMINALS } from './common-terminals.js';
import { casesOf, javascriptPattern } from './python-pattern.js';
import { stringValue } from './string-value.js';

/** More repetitions than this are refused. */
const MOST_REPEATS = 10_000;

const HEAD = /[?!]{0,2}(_?[a-z]\w*|_?[A-Z]\w*)\s*(\{[^}]*\})?\s*(?:\.\s*-?\d+)?\s*:(?![:=])/y;
const NAME = /_?[A-Za-z]\w*/y;
const STRING = /"(?:[^"\\\n]|\\[^\n])*"(i?)/y;
const PATTERN = /\/(?!\/)((?:[^/\\\n]|\\[^\n])+)\/([a-z]*)/y;

/** Whether a grammar that is no EBNF looks like Lark's: `name: ...`, or `%import`. */
export function isLark(source: string): boolean {
  const bare = source.replaceAll(/"(?:[^"\\\n]|\\.)*"|(?:\/\/|#)[^\n]*/g, '');
  return (
    !bare.includes('::=') &&
    /^[ \t]*(?:%|[?!]{0,2}_?[A-Za-z]\w*\s*(?:\{[^}]*\})?\s*(?:\.\s*-?\d+)?\s*:)/m.test(bare)
  );
}

/**
 * A grammar in Lark's language, read as a grammar of characters: a terminal is any text that it matches, whatever a lexer
 * would take it for. Shapes of trees and priorities have no meaning. Throws a `StructureError` with the line at fault.
 */
export function parseLark(source: string, tools: GrammarTools): Expression {
  tools.budget.input(source.length);
  return new LarkParser(source, tools).root();
}

class LarkParser {
  readonly #names = new Map<string, { readonly rule: string; isDefined: boolean; readonly at: number }>();
  #first: string | undefined;
  #at = 0;
  #depth = 0;
  /** Within a terminal, which is made of terminals alone. */
  #terminal: string | undefined;

  constructor(
    private readonly source: string,
    private readonly tools: GrammarTools,
  ) {}

  root(): Expression {
    for (this.#skipLines(); this.#at < this.source.length; this.#skipLines()) this.#statement();
    for (const [name, { isDefined, at }] of this.#names)
      if (!isDefined) throw this.#fault(`${JSON.stringify(name)} is not defined`, at);
    const root = this.#names.get('start') ?? this.#names.get(this.#first ?? '');
    if (root === undefined) throw this.#fault('there is no rule "start"');
    return rule(root.rule);
  }

  #statement(): void {
    if (this.source[this.#at] === '%') return this.#directive();
    HEAD.lastIndex = this.#at;
    const head = HEAD.exec(this.source);
    if (head === null) throw this.#fault('expected a rule, "name: ...", or a directive');
    const [whole, name = '', parameters] = head;
    if (parameters !== undefined) throw this.#fault(`the template ${JSON.stringify(name)} is not supported`);
    this.#at += whole.length;
    const isTerminal = /^_?[A-Z]/.test(name);
    if (!isTerminal) this.#first ??= name;
    this.#terminal = isTerminal ? name : undefined;
    this.#define(name, this.#choice());
    this.#terminal = undefined;
    if (this.#at < this.source.length && this.source[this.#at] !== '\n')
      throw this.#fault(`unexpected ${JSON.stringify(this.source[this.#at])}`);
  }

  #directive(): void {
    const line = /%(\w*)([^\n]*)/y;
    line.lastIndex = this.#at;
    const [, name = '', rest = ''] = line.exec(this.source) ?? [];
    if (name === 'ignore')
      throw this.#fault('%ignore is not supported: name what may stand between others in the rules');
    if (name !== 'import') throw this.#fault(`%${name} is not supported`);
    const imported =
      /^\s+common(?:\s*\.\s*(\w+)\s*(?:->\s*(\w+)\s*)?|\s*\(([\s\w,]*)\)\s*)(?:(?:\/\/|#).*)?$/.exec(rest);
    if (imported === null) throw this.#fault(`%import${rest.trimEnd()}: only common.NAME can be imported`);
    const [, one, alias, several = ''] = imported;
    const names = one === undefined ? several.split(',').map((each) => each.trim()) : [one];
    for (const each of names.filter((every) => every !== '')) {
      const pattern = COMMON_TERMINALS.get(each);
      if (pattern === undefined) throw this.#fault(`%import common.${each}: there is no such terminal`);
      this.#define(alias ?? each, regexExpression(pattern, this.tools));
    }
    this.#at = line.lastIndex;
  }

  #define(name: string, body: Expression): void {
    const known = this.#named(name);
    if (known.isDefined) throw this.#fault(`${JSON.stringify(name)} is defined twice`);
    known.isDefined = true;
    this.tools.rules.define(known.rule, body);
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
    while (this.#takesBar()) items.push(this.#sequence());
    this.#depth--;
    return choice(...items);
  }

  #sequence(): Expression {
    const items: Expression[] = [];
    for (;;) {
      this.#skip();
      this.tools.budget.work(20);
      const item = this.#item();
      if (item === undefined) break;
      items.push(this.#repeated(item));
    }
    // The name of an alternative shapes the tree.
    const alias = /->\s*_?[A-Za-z]\w*/y;
    alias.lastIndex = this.#at;
    if (alias.test(this.source)) this.#at = alias.lastIndex;
    this.#skip();
    return sequence(...items);
  }

  /** Undefined: the sequence ends here. */
  #item(): Expression | undefined {
    const character = this.source[this.#at];
    if (character === '"') return this.#string();
    if (character === '/') return this.#pattern();
    if (character === '(') return this.#group(')');
    if (character === '[') return optional(this.#group(']'));
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.source)?.[0];
    if (name === undefined) return undefined;
    if (this.#terminal !== undefined && !/^_?[A-Z]/.test(name))
      throw this.#fault(`the terminal ${this.#terminal} holds the rule ${JSON.stringify(name)}`);
    const used = rule(this.#named(name).rule);
    this.#at += name.length;
    if (this.source[this.#at] === '{')
      throw this.#fault(`the template ${JSON.stringify(name)} is not supported`);
    return used;
  }

  #group(close: string): Expression {
    this.#at++;
    this.#skipLines();
    const inner = this.#choice();
    this.#skipLines();
    if (!this.#takes(close)) throw this.#fault(`expected "${close}"`);
    return inner;
  }

  #repeated(item: Expression): Expression {
    this.#skip();
    if (this.#takes('*')) return repeat(item, 0);
    if (this.#takes('+')) return sequence(item, repeat(item, 0));
    if (this.#takes('?')) return optional(item);
    if (!this.#takes('~')) return item;
    const bounds = /\s*(\d+)(?:\s*\.\.\s*(\d+))?/y;
    bounds.lastIndex = this.#at;
    const found = bounds.exec(this.source);
    if (found === null) throw this.#fault('expected ~n or ~n..m');
    this.#at = bounds.lastIndex;
    const [min, max] = [Number(found[1]), Number(found[2] ?? found[1])];
    if (max < min) throw this.#fault('a repetition has its bounds in the wrong order');
    if (max > MOST_REPEATS) throw this.#fault(`more than ${MOST_REPEATS} repetitions are not supported`);
    return repeat(item, min, max);
  }

  #string(): Expression {
    const { value, ignoresCase } = this.#stringLiteral();
    const range = /\s*\.\.\s*(?=")/y;
    range.lastIndex = this.#at;
    if (!range.test(this.source)) return this.#anyCase(value, ignoresCase);
    this.#at = range.lastIndex;
    const last = this.#stringLiteral();
    const [from, to] = [value.codePointAt(0) ?? 0, last.value.codePointAt(0) ?? 0];
    if ([...value].length !== 1 || [...last.value].length !== 1 || ignoresCase || last.ignoresCase)
      throw this.#fault('a range needs one character on both sides');
    if (to < from) throw this.#fault('a range has its bounds in the wrong order');
    return characters([from, to], this.tools.rules);
  }

  #stringLiteral(): { readonly value: string; readonly ignoresCase: boolean } {
    STRING.lastIndex = this.#at;
    const found = STRING.exec(this.source);
    if (found === null) throw this.#fault('a text does not end');
    const [whole, flag = ''] = found;
    const value = this.#located(() => stringValue(whole.slice(1, whole.length - 1 - flag.length)));
    if (LONE_SURROGATE.test(value)) throw this.#fault('a text is not well-formed Unicode');
    this.#at += whole.length;
    return { value, ignoresCase: flag === 'i' };
  }

  #anyCase(value: string, ignoresCase: boolean): Expression {
    if (value === '') return NOTHING;
    if (!ignoresCase) return text(value);
    return sequence(...[...value].map((character) => choice(...casesOf(character).map(text))));
  }

  #pattern(): Expression {
    PATTERN.lastIndex = this.#at;
    const found = PATTERN.exec(this.source);
    if (found === null) throw this.#fault('a pattern does not end');
    const [whole, pattern = '', flags = ''] = found;
    const expression = this.#located(() => regexExpression(javascriptPattern(pattern, flags), this.tools));
    this.#at += whole.length;
    return expression;
  }

  /** Names the line of what is wrong with a part. */
  #located<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof StructureError) || error.fault === 'too_large') throw error;
      throw this.#fault(error.message, this.#at, error.fault);
    }
  }

  /** A `|`, which may also begin the next line. */
  #takesBar(): boolean {
    const bar = /(?:\s|(?:\/\/|#)[^\n]*)*\|/y;
    bar.lastIndex = this.#at;
    if (!bar.test(this.source)) return false;
    this.#at = bar.lastIndex;
    return true;
  }

  #takes(token: string): boolean {
    if (!this.source.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  /** White space and comments within a line. */
  #skip(): void {
    this.#pass(/(?:[^\S\n]|(?:\/\/|#)[^\n]*)*/y);
  }

  #skipLines(): void {
    this.#pass(/(?:\s|(?:\/\/|#)[^\n]*)*/y);
  }

  #pass(blank: RegExp): void {
    blank.lastIndex = this.#at;
    blank.exec(this.source);
    this.#at = blank.lastIndex;
  }

  #fault(message: string, at = this.#at, fault: StructureError['fault'] = 'invalid'): StructureError {
    const line = this.source.slice(0, at).split('\n').length;
    return new StructureError(fault, `line ${line}: ${message}`);
  }
}
