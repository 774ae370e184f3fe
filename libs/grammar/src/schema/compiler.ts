import { isEmptyLanguage } from '../automaton/dfa.js';
import type { Budget } from '../budget.js';
import type { ValueSpelling } from '#contracts/structural-tag.js';
import { choice, type Expression, isNever, NEVER } from '../ebnf/expression.js';
import type { Rules } from '../ebnf/rules.js';
import type { GrammarTools } from '../grammar-tools.js';
import { StructureError } from '../errors.js';
import { CallSpelling } from '../json/call-spelling.js';
import { dialectOf } from '../json/dialect.js';
import type { JsonSpelling, JsonValue } from '../json/spelling.js';
import { Alternatives, type Conjuncts } from './alternatives.js';
import { arrayExpression } from './arrays.js';
import { type Schema, SchemaDocument } from './document.js';
import { Emptiness } from './emptiness.js';
import { Evaluator } from './evaluate.js';
import { type Facts, factsOf } from './facts.js';
import { objectExpression } from './objects.js';
import { refuseUnenforced } from './refusals.js';
import { StringLanguages } from './string-languages.js';
import type { JsonType } from './types.js';

/** Schemas that need each other in one value, whose rules are made one within the other. */
const MOST_NESTED = 400;

/**
 * JSON Schema (2020-12 and draft 7) to an expression of which every text is JSON that fits it. Throws a `StructureError` that
 * names keyword and place for what cannot be enforced exactly.
 */
export function schemaExpression(
  schema: unknown,
  grammar: GrammarTools,
  spelled?: ValueSpelling,
): Expression {
  if (spelled === undefined) return new SchemaCompiler(schema, grammar).expression();
  const dialect = dialectOf(spelled);
  const isCall = spelled.kind === 'python';
  const spelling = grammar.spelling.in(dialect, isCall ? undefined : 'compact');
  const compiler = new SchemaCompiler(schema, { ...grammar, spelling });
  return isCall ? compiler.call(new CallSpelling(spelling)) : compiler.expression();
}

class SchemaCompiler {
  readonly #rules: Rules;
  readonly #spelling: JsonSpelling;
  readonly #budget: Budget;
  /** Sets the rules of this document apart from those of others in the same grammar. */
  readonly #scope: string;
  readonly #document: SchemaDocument;
  readonly #languages: StringLanguages;
  readonly #evaluator: Evaluator;
  readonly #emptiness: Emptiness;
  readonly #alternatives: Alternatives;
  #nested = 0;

  constructor(schema: unknown, { rules, spelling, budget }: GrammarTools) {
    this.#rules = rules;
    this.#spelling = spelling;
    this.#budget = budget;
    this.#scope = rules.freshScope();
    this.#document = new SchemaDocument(schema, budget);
    this.#languages = new StringLanguages(budget);
    this.#evaluator = new Evaluator(this.#document, this.#languages, budget);
    this.#emptiness = new Emptiness(
      this.#document,
      this.#languages,
      this.#evaluator,
      () => this.#alternatives,
    );
    this.#alternatives = new Alternatives(this.#document, budget, (schemas) =>
      this.#emptiness.isSure(schemas),
    );
  }

  expression(): Expression {
    return this.#valueOf([this.#document.root]);
  }

  /** The objects that fit, as the arguments of a call. */
  call(spelling: JsonSpelling): Expression {
    const choices = this.#alternatives.of([this.#document.root]).map((conjuncts) => {
      const facts = factsOf(conjuncts, this.#document);
      if (facts.values !== undefined) {
        const isFitting = (value: JsonValue) =>
          conjuncts.every((schema) => this.#evaluator.fits(value, schema));
        return choice(...facts.values.filter(isFitting).map((value) => spelling.literal(value)));
      }
      refuseUnenforced(conjuncts, facts);
      return facts.types.has('object') ? objectExpression(facts.object, this.#tools(spelling)) : NEVER;
    });
    return choice(...choices.filter((each) => !isNever(each)));
  }

  /** The values that fit all of `schemas`. */
  #valueOf(schemas: readonly Schema[]): Expression {
    const distinct = [...new Set(schemas)].filter(({ body }) => body !== true);
    if (distinct.length === 0) return this.#spelling.value();
    return this.#rules.once('schema', `${this.#scope} schema ${keyOf(distinct)}`, () => {
      if (++this.#nested > MOST_NESTED)
        throw new StructureError('too_large', `its schemas need each other deeper than ${MOST_NESTED}`);
      const choices = this.#alternatives.of(distinct).map((conjuncts) => this.#fitting(conjuncts));
      this.#nested--;
      return choice(...choices);
    });
  }

  #fitting(conjuncts: Conjuncts): Expression {
    return this.#rules.once('fit', `${this.#scope} fit ${keyOf(conjuncts)}`, () => {
      this.#budget.work(100);
      const facts = factsOf(conjuncts, this.#document);
      const { values } = facts;
      if (values !== undefined) {
        const fitting = values.filter((value) =>
          conjuncts.every((schema) => this.#evaluator.fits(value, schema)),
        );
        return choice(...fitting.map((value) => this.#spelling.literal(value)));
      }
      refuseUnenforced(conjuncts, facts);
      return choice(...[...facts.types].map((type) => this.#ofType(type, facts)).filter((e) => !isNever(e)));
    });
  }

  #ofType(type: JsonType, facts: Facts): Expression {
    if (type === 'null') return this.#spelling.word('null');
    if (type === 'boolean') return choice(this.#spelling.word('true'), this.#spelling.word('false'));
    if (type === 'number') return this.#spelling.number(facts.number);
    if (type === 'string') return this.#string(facts);
    const tools = this.#tools(this.#spelling);
    return type === 'array' ? arrayExpression(facts.array, tools) : objectExpression(facts.object, tools);
  }

  #tools(spelling: JsonSpelling) {
    return {
      document: this.#document,
      alternatives: this.#alternatives,
      emptiness: this.#emptiness,
      languages: this.#languages,
      spelling,
      budget: this.#budget,
      valueOf: (schemas: readonly Schema[]) => this.#valueOf(schemas),
    };
  }

  #string({ string }: Facts): Expression {
    const language = this.#languages.of(string);
    if (language !== undefined) return isEmptyLanguage(language) ? NEVER : this.#spelling.stringOf(language);
    if (string.max !== undefined && string.min > string.max) return NEVER;
    return this.#spelling.string(string.min, string.max);
  }
}

const keyOf = (schemas: Conjuncts): string =>
  schemas
    .map(({ pointer }) => pointer)
    .sort()
    .join('\n');
