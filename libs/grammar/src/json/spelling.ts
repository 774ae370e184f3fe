import { ALL, type CodePoints } from '../automaton/code-points.js';
import { type Dfa, isEmptyLanguage } from '../automaton/dfa.js';
import { EVERY_TEXT, ofLength } from '../automaton/languages.js';
import { both } from '../automaton/product.js';
import type { Budget } from '../budget.js';
import {
  choice,
  type Expression,
  NEVER,
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
import { StructureError } from '../errors.js';
import { beginsNone, type Dialect, JSON_DIALECT, withoutMarks } from './dialect.js';
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
  constructor(
    readonly rules: Rules,
    readonly whiteSpace: WhiteSpace,
    readonly budget: Budget,
    readonly dialect: Dialect = JSON_DIALECT,
  ) {}

  /** The same values in other words. */
  in(dialect: Dialect, whiteSpace = this.whiteSpace): JsonSpelling {
    return new JsonSpelling(this.rules, whiteSpace, this.budget, dialect);
  }

  word(value: 'null' | 'true' | 'false'): Expression {
    return text(this.dialect.words[value]);
  }

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
    const { key, quote, excluded } = this.dialect;
    if (min === 0 && max === undefined) {
      if (excluded.length > 0)
        return this.rules.once('string', `${key}string`, () => this.stringOf(EVERY_TEXT));
      return sequence(text(quote), this.#restOfString());
    }
    if (Math.max(min, max ?? 0) <= MOST_COUNTED) return this.stringOf(ofLength(min, max, this.budget));
    const one = this.rules.once('character', `${key}character`, () =>
      choice(...this.dialect.characters(beginsNone(excluded), this.rules)),
    );
    return sequence(text(quote), repeat(one, min, max), text(quote));
  }

  stringOf(language: Dfa): Expression {
    const { quote, excluded, characters } = this.dialect;
    const written =
      excluded.length === 0 ? language : both(language, withoutMarks(excluded, this.budget), this.budget);
    if (isEmptyLanguage(written)) return NEVER;
    const spelling = {
      alternatives: (set: CodePoints) => characters(set, this.rules),
      end: text(quote),
    };
    return sequence(text(quote), expressionOf(written, spelling, this.rules, 'text'));
  }

  /** Any characters and the closing quotation mark. */
  #restOfString(): Expression {
    const key = `${this.dialect.key}rest of string`;
    return this.rules.once('rest', key, () => {
      const again = rule(this.rules.nameOf(key));
      const characters = this.dialect.characters(ALL, this.rules);
      return choice(text(this.dialect.quote), ...characters.map((one) => sequence(one, again)));
    });
  }

  /** Of a member; refuses one that cannot be written. */
  name(name: string): Expression {
    const { bareName, written, quote } = this.dialect;
    if (bareName?.test(name) === true) return text(name);
    const spelled = written(name);
    if (spelled === undefined) throw unwritable(name);
    return text(`${quote}${spelled}${quote}`);
  }

  anyName(): Expression {
    return this.string();
  }

  nameOf(language: Dfa): Expression {
    return this.stringOf(language);
  }

  /** Around the members of an object. */
  readonly open: string = '{';
  readonly close: string = '}';

  number(facts: NumberFacts): Expression {
    const isFree = facts.min === undefined && facts.max === undefined && facts.multipleOf === undefined;
    return this.rules.once('number', `number ${JSON.stringify(facts)}`, () => {
      if (isFree) return freeNumber(facts.integer);
      return expressionOf(numberLanguage(facts, this.budget), PLAIN_ASCII, this.rules, 'digits');
    });
  }

  /** Any JSON value. */
  value(): Expression {
    return this.rules.once('value', `${this.dialect.key}value`, () =>
      choice(
        this.string(),
        this.number({ integer: false }),
        this.word('true'),
        this.word('false'),
        this.word('null'),
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
    return this.rules.once('object', `${this.dialect.key}object`, () => {
      const member = this.member(this.anyName(), this.value());
      const members = sequence(member, repeat(this.next(member), 0));
      return sequence(text('{'), this.blank(), optional(sequence(members, this.blank())), text('}'));
    });
  }

  member(name: Expression, value: Expression): Expression {
    return sequence(name, this.blank(), text(':'), this.blank(), value);
  }

  /** Exactly this value, members and items in its order. */
  literal(value: JsonValue): Expression {
    if (typeof value === 'string') {
      const { quote, written } = this.dialect;
      const spelled = written(value);
      return spelled === undefined ? NEVER : text(`${quote}${spelled}${quote}`);
    }
    if (value === null || typeof value === 'boolean') return this.word(`${value}`);
    if (typeof value !== 'object') return text(JSON.stringify(value));
    const isArray = Array.isArray(value);
    const parts: Expression[] = isArray
      ? value.map((item) => this.literal(item as JsonValue))
      : Object.entries(value).map(([name, item]) =>
          this.member(this.name(name), this.literal(item as JsonValue)),
        );
    const [first, ...rest] = parts;
    const [open, close] = isArray ? ['[', ']'] : [this.open, this.close];
    const inner =
      first === undefined ? NOTHING : sequence(first, ...rest.map((part) => this.next(part)), this.blank());
    return sequence(text(open as string), this.blank(), inner, text(close as string));
  }
}

const unwritable = (name: string): StructureError =>
  new StructureError(
    'unsupported',
    `properties: the name ${JSON.stringify(name)} cannot be written in this model's calls`,
    'properties',
  );

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
