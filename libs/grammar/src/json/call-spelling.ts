import type { Dfa } from '../automaton/dfa.js';
import { ofMachine } from '../automaton/languages.js';
import { both } from '../automaton/product.js';
import type { Budget } from '../budget.js';
import { bytes, type Expression, NOTHING, sequence, text } from '../ebnf/expression.js';
import { expressionOf } from '../ebnf/from-automaton.js';
import { StructureError } from '../errors.js';
import { JsonSpelling } from './spelling.js';

const FIRST_LETTERS = [0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
const OTHER_LETTERS = [0x30, 0x39];
const NAME = /^[A-Za-z_]\w*$/;

/** An object as the arguments of a Python call: `(name=value, other=value)`. The values within are literals. */
export class CallSpelling extends JsonSpelling {
  override readonly open = '(';
  override readonly close = ')';

  constructor(private readonly values: JsonSpelling) {
    super(values.rules, values.whiteSpace, values.budget, values.dialect);
  }

  override name(name: string): Expression {
    if (NAME.test(name)) return text(name);
    throw new StructureError(
      'unsupported',
      `properties: ${JSON.stringify(name)} cannot be the name of an argument in a Python call`,
      'properties',
    );
  }

  override anyName(): Expression {
    return this.rules.once('name', 'python name', () => this.#spelled(identifiers(this.budget)));
  }

  override nameOf(language: Dfa): Expression {
    return this.#spelled(both(language, identifiers(this.budget), this.budget));
  }

  override member(name: Expression, value: Expression): Expression {
    return sequence(name, text('='), value);
  }

  override value(): Expression {
    return this.values.value();
  }

  override literal(value: Parameters<JsonSpelling['literal']>[0]): Expression {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return this.values.literal(value);
    const members = Object.entries(value).map(([name, each]) =>
      this.member(this.name(name), this.values.literal(each)),
    );
    const [first = NOTHING, ...rest] = members;
    return sequence(text('('), first, ...rest.map((member) => this.next(member)), text(')'));
  }

  #spelled(language: Dfa): Expression {
    const spelling = { alternatives: (set: readonly number[]) => [bytes(set)], end: NOTHING };
    return expressionOf(language, spelling, this.rules, 'name');
  }
}

function identifiers(budget: Budget): Dfa {
  return ofMachine<number>(
    {
      start: 0,
      letters: [FIRST_LETTERS, OTHER_LETTERS],
      step: (length, letter) => (length === 0 && letter === 1 ? undefined : 1),
      accepts: (length) => length > 0,
      key: String,
    },
    budget,
  );
}
