import { type CodePoints, complement, single, union } from '../automaton/code-points.js';
import type { Budget } from '../budget.js';
import { StructureError } from '../errors.js';
import { ANY_BUT_LINE_ENDS, classOf, propertyOf } from './classes.js';
import type { RegexNode } from './nodes.js';

/** Reads a regular expression in JavaScript's syntax with the flag "u". Throws a `StructureError` for what is not regular. */
export function parseRegex(source: string, budget: Budget): RegexNode {
  try {
    // Whatever else is wrong with it, JavaScript says best.
    void new RegExp(source, 'u');
  } catch (error) {
    throw new StructureError('invalid', (error as Error).message);
  }
  return new RegexParser(source, budget).whole();
}

const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

class RegexParser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(
    source: string,
    private readonly budget: Budget,
  ) {
    this.#characters = [...source];
  }

  whole(): RegexNode {
    return this.#choice();
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #takes(text: string): boolean {
    const characters = [...text];
    if (characters.some((character, i) => this.#characters[this.#at + i] !== character)) return false;
    this.#at += characters.length;
    return true;
  }

  #take(): string {
    return this.#characters[this.#at++] ?? '';
  }

  #choice(): RegexNode {
    if (++this.#depth > this.budget.limits.depth)
      throw new StructureError('too_large', 'its groups are nested too deeply');
    const items = [this.#sequence()];
    while (this.#takes('|')) items.push(this.#sequence());
    this.#depth--;
    return items.length === 1 ? (items[0] as RegexNode) : { kind: 'choice', items };
  }

  #sequence(): RegexNode {
    const items: RegexNode[] = [];
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
      this.budget.work(10);
      items.push(this.#repeated(this.#item()));
    }
    return items.length === 1 ? (items[0] as RegexNode) : { kind: 'sequence', items };
  }

  #item(): RegexNode {
    const character = this.#take();
    if (character === '^') return { kind: 'start' };
    if (character === '$') return { kind: 'end' };
    if (character === '.') return { kind: 'set', set: ANY_BUT_LINE_ENDS };
    if (character === '[') return { kind: 'set', set: this.#class() };
    if (character === '(') return this.#group();
    if (character === '\\') return { kind: 'set', set: this.#escape(false) };
    return { kind: 'set', set: this.#literal(character) };
  }

  /** A lone surrogate matches no text that UTF-8 can spell. */
  #literal(character: string): CodePoints {
    return single(character.codePointAt(0) as number);
  }

  #group(): RegexNode {
    for (const [opening, name] of [
      ['?=', 'lookahead'],
      ['?!', 'lookahead'],
      ['?<=', 'lookbehind'],
      ['?<!', 'lookbehind'],
    ] as const)
      if (this.#takes(opening)) throw notRegular(name);
    if (this.#takes('?<')) {
      while (this.#take() !== '>');
    } else if (this.#takes('?') && !this.#takes(':')) {
      throw notRegular('flags within a group');
    }
    const inner = this.#choice();
    this.#take();
    return inner;
  }

  #repeated(item: RegexNode): RegexNode {
    const bounds = this.#quantifier();
    if (bounds === undefined) return item;
    // Greedy or lazy, the texts are the same.
    this.#takes('?');
    return { kind: 'repeat', item, ...bounds };
  }

  #quantifier(): { min: number; max?: number } | undefined {
    if (this.#takes('*')) return { min: 0 };
    if (this.#takes('+')) return { min: 1 };
    if (this.#takes('?')) return { min: 0, max: 1 };
    if (!this.#takes('{')) return undefined;
    let text = '';
    while (this.#next !== '}') text += this.#take();
    this.#take();
    const [min, max] = text.split(',');
    if (max === '') return { min: Number(min) };
    return { min: Number(min), max: Number(max ?? min) };
  }

  #class(): CodePoints {
    const negated = this.#takes('^');
    const sets: CodePoints[] = [];
    while (!this.#takes(']')) {
      this.budget.work(10);
      const first = this.#classMember();
      if (this.#next === '-' && this.#characters[this.#at + 1] !== ']') {
        this.#take();
        const last = this.#classMember();
        sets.push([first[0] as number, last[0] as number]);
      } else sets.push(first);
    }
    const set = union(sets);
    return negated ? complement(set) : set;
  }

  #classMember(): CodePoints {
    const character = this.#take();
    return character === '\\' ? this.#escape(true) : this.#literal(character);
  }

  #escape(inClass: boolean): CodePoints {
    const letter = this.#take();
    const known = classOf(letter);
    if (known !== undefined) return known;
    if (letter === 'p' || letter === 'P') return this.#property(letter === 'P');
    if (letter === 'b' && inClass) return single(8);
    if (letter === 'b' || letter === 'B') throw notRegular(`\\${letter}`);
    if (letter === 'k' || /[1-9]/.test(letter)) throw notRegular('a back reference');
    if (letter === 'c') return single((this.#take().codePointAt(0) as number) % 32);
    if (letter === 'x') return single(this.#hex(2));
    if (letter === 'u') return single(this.#unicode());
    const control = CONTROLS[letter];
    return control === undefined ? this.#literal(letter) : single(control);
  }

  #property(negated: boolean): CodePoints {
    this.#take();
    let name = '';
    while (this.#next !== '}') name += this.#take();
    this.#take();
    this.budget.work(200_000);
    const set = propertyOf(name);
    return negated ? complement(set) : set;
  }

  #hex(digits: number): number {
    let text = '';
    for (let i = 0; i < digits; i++) text += this.#take();
    return Number.parseInt(text, 16);
  }

  #unicode(): number {
    if (this.#takes('{')) {
      let text = '';
      while (this.#next !== '}') text += this.#take();
      this.#take();
      return Number.parseInt(text, 16);
    }
    const high = this.#hex(4);
    if (high < 0xd800 || high > 0xdbff || !(this.#next === '\\' && this.#characters[this.#at + 1] === 'u'))
      return high;
    const before = this.#at;
    this.#at += 2;
    const low = this.#hex(4);
    if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    this.#at = before;
    return high;
  }
}

function notRegular(what: string): StructureError {
  return new StructureError('unsupported', `${what} cannot be enforced`);
}
