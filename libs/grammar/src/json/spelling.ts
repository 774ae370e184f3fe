import { ALL } from '../automaton/code-points.js';
import type { Dfa } from '../automaton/dfa.js';
import { ofLength } from '../automaton/languages.js';
import type { Budget } from '../budget.js';
import {
  choice,
  type Expression,
  NOTHING,
  optional,
  repeat,
  rule,
  bytes,
  sequence,
  text,
} from '../ebnf/expression.js';
import { expressionOf } from '../ebnf/from-automaton.js';
import type { Rules } from '../ebnf/rules.js';
import { DIGITS } from '../regex/classes.js';
import { jsonCharacters } from './characters.js';
import { FREE_DIGITS, type NumberFacts, numberLanguage } from './numbers.js';

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/**
 * White space between the tokens of JSON. `flexible`: none, one space, or a new line with an indentation; without a bound,
 * small models go on with blanks for ever. `compact`: none.
 */
export type WhiteSpace = 'flexible' | 'compact';

const MOST_INDENTATION = 16;
/** Longer bounds are counted by the library, which is slower at each step but has no state for each character. */
const MOST_COUNTED = 64;

/** The spellings of JSON in a grammar's rules. */
export class JsonSpelling {
  readonly #spelling = {
    alternatives: (set: readonly number[]) => jsonCharacters(set, this.rules),
    end: text('"'),
  };

  constructor(
    readonly rules: Rules,
    private readonly whiteSpace: WhiteSpace,
    private readonly budget: Budget,
  ) {}

  blank(): Expression {
    if (this.whiteSpace === 'compact') return NOTHING;
    return this.rules.once('blank', 'blank', () =>
      optional(
        choice(
          text(' '),
          sequence(text('\n'), choice(repeat(text(' '), 0, MOST_INDENTATION), repeat(text('\t'), 1, 8))),
        ),
      ),
    );
  }

  /** Behind a comma. */
  next(item: Expression): Expression {
    return sequence(this.blank(), text(','), this.blank(), item);
  }

  /** A string of `min` to `max` characters. */
  string(min = 0, max?: number): Expression {
    if (min === 0 && max === undefined) return sequence(text('"'), this.#restOfString());
    if (Math.max(min, max ?? 0) <= MOST_COUNTED) return this.stringOf(ofLength(min, max, this.budget));
    const one = this.rules.once('character', 'character', () => choice(...jsonCharacters(ALL, this.rules)));
    return sequence(text('"'), repeat(one, min, max), text('"'));
  }

  stringOf(language: Dfa): Expression {
    return sequence(text('"'), expressionOf(language, this.#spelling, this.rules, 'text'));
  }

  /** Any characters and the closing quotation mark. */
  #restOfString(): Expression {
    return this.rules.once('rest', 'rest of string', () => {
      const again = rule(this.rules.nameOf('rest of string'));
      return choice(text('"'), ...jsonCharacters(ALL, this.rules).map((one) => sequence(one, again)));
    });
  }

  number(facts: NumberFacts): Expression {
    const isFree = facts.min === undefined && facts.max === undefined && facts.multipleOf === undefined;
    return this.rules.once('number', `number ${JSON.stringify(facts)}`, () => {
      if (isFree) return freeNumber(facts.integer);
      return expressionOf(numberLanguage(facts, this.budget), PLAIN_ASCII, this.rules, 'digits');
    });
  }

  /** Any JSON value. */
  value(): Expression {
    return this.rules.once('value', 'value', () =>
      choice(
        this.string(),
        this.number({ integer: false }),
        text('true'),
        text('false'),
        text('null'),
        this.array(this.value()),
        this.object(),
      ),
    );
  }

  array(item: Expression): Expression {
    const items = sequence(item, repeat(this.next(item), 0));
    return sequence(text('['), this.blank(), optional(sequence(items, this.blank())), text(']'));
  }

  /** An object with any members. */
  object(): Expression {
    return this.rules.once('object', 'object', () => {
      const member = this.member(this.string(), this.value());
      const members = sequence(member, repeat(this.next(member), 0));
      return sequence(text('{'), this.blank(), optional(sequence(members, this.blank())), text('}'));
    });
  }

  member(name: Expression, value: Expression): Expression {
    return sequence(name, this.blank(), text(':'), this.blank(), value);
  }

  /** Exactly this value, members and items in its order. */
  literal(value: JsonValue): Expression {
    if (typeof value !== 'object' || value === null) return text(JSON.stringify(value));
    const isArray = Array.isArray(value);
    const parts: Expression[] = isArray
      ? value.map((item) => this.literal(item as JsonValue))
      : Object.entries(value).map(([name, item]) =>
          this.member(text(JSON.stringify(name)), this.literal(item as JsonValue)),
        );
    const [first, ...rest] = parts;
    const [open, close] = isArray ? ['[', ']'] : ['{', '}'];
    const inner =
      first === undefined ? NOTHING : sequence(first, ...rest.map((part) => this.next(part)), this.blank());
    return sequence(text(open as string), this.blank(), inner, text(close as string));
  }
}

/** ASCII that is not within a JSON string. */
const PLAIN_ASCII = { alternatives: (letters: readonly number[]) => [bytes(letters)], end: NOTHING };

function freeNumber(integer: boolean): Expression {
  const digit = bytes(DIGITS);
  const whole = sequence(
    optional(text('-')),
    choice(text('0'), sequence(bytes([0x31, 0x39]), repeat(digit, 0, FREE_DIGITS - 1))),
  );
  if (integer) return whole;
  const fraction = optional(sequence(text('.'), repeat(digit, 1, FREE_DIGITS)));
  const exponent = sequence(bytes([0x45, 0x45, 0x65, 0x65]), optional(bytes([0x2b, 0x2b, 0x2d, 0x2d])));
  return sequence(whole, fraction, optional(sequence(exponent, repeat(digit, 1, 2))));
}
