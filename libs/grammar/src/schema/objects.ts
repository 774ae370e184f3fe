import { ALL, complement, ofCharacters, union } from '../automaton/code-points.js';
import { type Dfa, isEmptyLanguage } from '../automaton/dfa.js';
import { ofTexts } from '../automaton/languages.js';
import { both, either, without } from '../automaton/product.js';
import type { Budget } from '../budget.js';
import {
  choice,
  type Expression,
  isNever,
  NEVER,
  optional,
  repeat,
  sequence,
  text,
} from '../ebnf/expression.js';
import { StructureError } from '../errors.js';
import type { JsonSpelling } from '../json/spelling.js';
import type { Alternatives } from './alternatives.js';
import type { Schema, SchemaDocument } from './document.js';
import type { Emptiness } from './emptiness.js';
import { factsOf, memberConjuncts, type ObjectFacts } from './facts.js';
import type { StringLanguages } from './string-languages.js';

/** For each set of them that a name matches, members have another schema. */
const MOST_PATTERNS = 5;

interface Member {
  readonly expression: Expression;
  readonly required: boolean;
}

export interface ObjectTools {
  readonly document: SchemaDocument;
  readonly alternatives: Alternatives;
  readonly emptiness: Emptiness;
  readonly languages: StringLanguages;
  readonly spelling: JsonSpelling;
  readonly budget: Budget;
  /** The values that fit all of them. */
  valueOf(schemas: readonly Schema[]): Expression;
}

/** The objects of these facts: declared members in their order, then those that are required besides, then others. */
export function objectExpression(facts: ObjectFacts, tools: ObjectTools): Expression {
  const names = new Set([
    ...facts.groups.flatMap(({ properties }) => [...properties.keys()]),
    ...facts.required,
  ]);
  const members: Member[] = [];
  for (const name of names) {
    const required = facts.required.has(name);
    if (tools.emptiness.isForbidden(facts, name)) {
      if (required) return NEVER;
      continue;
    }
    const value = tools.valueOf(tools.emptiness.member(facts, name));
    members.push({ expression: tools.spelling.member(tools.spelling.name(name), value), required });
  }
  const others = otherMembers(facts, names, tools);
  return new MemberList(facts, members, others, tools).expression();
}

/** A member whose name is not declared, if there can be one. */
function otherMembers(facts: ObjectFacts, declared: ReadonlySet<string>, tools: ObjectTools): Expression {
  const { budget, languages, spelling } = tools;
  if (facts.groups.length === 0 && declared.size === 0 && facts.names.length === 0)
    return spelling.member(spelling.anyName(), spelling.value());
  const patterns = new Map(
    facts.groups.flatMap(({ patterns, at }) => [...patterns.keys()].map((source) => [source, at] as const)),
  );
  if (patterns.size > MOST_PATTERNS) {
    const [, at] = [...patterns][0] as [string, Schema];
    throw new StructureError(
      'unsupported',
      `patternProperties: more than ${MOST_PATTERNS} patterns cannot be enforced`,
      'patternProperties',
      at.pointer,
    );
  }
  if (isClosed(facts, declared.size)) return NEVER;
  const sources = [...patterns.keys()];
  const found: Expression[] = [];
  for (let chosen = 0; chosen < 2 ** sources.length; chosen++) {
    const isChosen = (source: string) => ((chosen >> sources.indexOf(source)) & 1) === 1;
    const conjuncts = memberConjuncts(facts, undefined, isChosen);
    if (tools.emptiness.isSure(conjuncts)) continue;
    let language = nameLanguage(facts, tools);
    for (const [source, at] of patterns) {
      const pattern = languages.pattern(source, at, 'patternProperties');
      language = isChosen(source) ? both(language, pattern, budget) : without(language, pattern, budget);
    }
    if (isEmptyLanguage(language)) continue;
    language = undeclared(language, declared, budget);
    if (!isEmptyLanguage(language))
      found.push(spelling.member(spelling.nameOf(language), tools.valueOf(conjuncts)));
  }
  return choice(...found);
}

/** Where nothing speaks of other members than those that are declared, there are none: an answer is what was described. */
function isClosed(facts: ObjectFacts, declared: number): boolean {
  const isSilent = facts.groups.every(
    ({ patterns, additional }) => patterns.size === 0 && additional === undefined,
  );
  return isSilent && declared > 0 && facts.names.length === 0 && facts.min <= declared;
}

/** More states of them are too slow to prepare. */
const MOST_NAME_STATES = 16;

/** The names of `language` that are not declared; where that has many states, only those that begin otherwise. */
function undeclared(language: Dfa, declared: ReadonlySet<string>, budget: Budget): Dfa {
  const exact = without(language, ofTexts(declared, budget), budget);
  if (exact.accepts.length <= language.accepts.length + MOST_NAME_STATES) return exact;
  const letters = union([...declared].map((name) => ofCharacters([...name].slice(0, 1).join(''))));
  const others: Dfa = {
    accepts: [true, true],
    edges: [[{ set: complement(letters), to: 1 }], [{ set: ALL, to: 1 }]],
  };
  const begunOtherwise = both(exact, others, budget);
  return isEmptyLanguage(begunOtherwise) ? exact : begunOtherwise;
}

/** The names that `propertyNames` allows. */
function nameLanguage(facts: ObjectFacts, { alternatives, document, languages, budget }: ObjectTools): Dfa {
  const found: Dfa[] = [];
  for (const conjuncts of alternatives.of(facts.names)) {
    const { types, values, string } = factsOf(conjuncts, document);
    if (!types.has('string')) continue;
    let language = languages.always(string);
    if (values !== undefined) {
      const texts = values.filter((value) => typeof value === 'string');
      language = both(language, ofTexts(texts, budget), budget);
    }
    found.push(language);
  }
  const [first = ofTexts([], budget), ...rest] = found;
  return rest.reduce((a, b) => either(a, b, budget), first);
}

/** The members of an object one after another, with as many as `minProperties` and `maxProperties` say. */
class MemberList {
  readonly #tails = new Map<string, Expression>();
  /** From here on it does not matter how many there were. */
  readonly #enough: number;

  constructor(
    private readonly facts: ObjectFacts,
    private readonly members: readonly Member[],
    private readonly others: Expression,
    private readonly tools: Pick<ObjectTools, 'spelling' | 'budget'>,
  ) {
    // As many as there can be need no bound.
    const declared = members.length;
    const { min, max } = facts;
    this.#enough = Math.max(1, min, max === undefined || (isNever(others) && declared <= max) ? 0 : max);
  }

  expression(): Expression {
    const { spelling } = this.tools;
    return sequence(text(spelling.open), spelling.blank(), this.#tail(0, 0));
  }

  /** What follows when the members before `index` are through and `count` of them are there: to the closing brace. */
  #tail(index: number, count: number): Expression {
    const key = `${index} ${count}`;
    const known = this.#tails.get(key);
    if (known !== undefined) return known;
    this.tools.budget.work(300);
    const made = this.#makeTail(index, count);
    const isShort = made.kind !== 'sequence' && made.kind !== 'choice';
    const tail = isShort || isNever(made) ? made : this.tools.spelling.rules.add('members', made);
    this.#tails.set(key, tail);
    return tail;
  }

  #makeTail(index: number, count: number): Expression {
    const { facts, members } = this;
    const { spelling } = this.tools;
    const member = members[index];
    if (member === undefined) return this.#close(count);
    const isFree = count >= this.#enough && this.#most === undefined;
    if (isFree) {
      const rest = members.slice(index).map(({ expression, required }) => {
        const next = spelling.next(expression);
        return required ? next : optional(next);
      });
      return sequence(...rest, this.#close(count));
    }
    const present =
      facts.max !== undefined && count >= facts.max
        ? NEVER
        : sequence(
            count === 0 ? member.expression : spelling.next(member.expression),
            this.#tail(index + 1, Math.min(count + 1, this.#enough)),
          );
    return member.required ? present : choice(present, this.#tail(index + 1, count));
  }

  get #most(): number | undefined {
    const { max } = this.facts;
    return max === undefined || (isNever(this.others) && this.members.length <= max) ? undefined : max;
  }

  #close(count: number): Expression {
    const { facts, others } = this;
    const { spelling } = this.tools;
    const close = text(spelling.close);
    const end = sequence(spelling.blank(), close);
    const missing = Math.max(0, facts.min - count);
    if (isNever(others) || (facts.max !== undefined && count >= facts.max))
      return missing > 0 ? NEVER : count === 0 ? close : end;
    // Others may repeat a name, so that several can be but one member.
    if (missing > 1) return NEVER;
    const left = facts.max === undefined ? undefined : facts.max - count;
    if (count > 0) return sequence(repeat(spelling.next(others), missing, left), end);
    const some = sequence(
      others,
      repeat(spelling.next(others), 0, left === undefined ? undefined : left - 1),
      end,
    );
    return missing > 0 ? some : choice(some, close);
  }
}
