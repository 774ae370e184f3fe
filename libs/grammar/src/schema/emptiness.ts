import { isEmptyLanguage } from '../automaton/dfa.js';
import type { NumberFacts } from '../json/numbers.js';
import type { Alternatives, Conjuncts } from './alternatives.js';
import type { Schema, SchemaDocument } from './document.js';
import type { Evaluator } from './evaluate.js';
import {
  type ArrayFacts,
  type Facts,
  factsOf,
  itemConjuncts,
  memberConjuncts,
  type ObjectFacts,
} from './facts.js';
import type { StringLanguages } from './string-languages.js';

/** Says of schemas that nothing fits them all, where that is sure. */
export class Emptiness {
  readonly #judged = new Map<string, boolean>();

  constructor(
    private readonly document: SchemaDocument,
    private readonly languages: StringLanguages,
    private readonly evaluator: Evaluator,
    private readonly alternatives: () => Alternatives,
  ) {}

  /** False also where it is not known. */
  isSure(schemas: readonly Schema[]): boolean {
    const key = schemas
      .map(({ pointer }) => pointer)
      .sort()
      .join('\n');
    const known = this.#judged.get(key);
    if (known !== undefined) return known;
    // What refers to itself is taken to be possible.
    this.#judged.set(key, false);
    const empty = this.alternatives()
      .of(schemas, true)
      .every((conjuncts) => this.#isEmpty(conjuncts));
    this.#judged.set(key, empty);
    return empty;
  }

  #isEmpty(conjuncts: Conjuncts): boolean {
    const facts = factsOf(conjuncts, this.document);
    const { values } = facts;
    if (values !== undefined)
      return !values.some((value) => conjuncts.every((schema) => this.evaluator.fits(value, schema)));
    return [...facts.types].every((type) => {
      if (type === 'number') return isEmptyRange(facts.number);
      if (type === 'string') return this.#isEmptyString(facts);
      if (type === 'array') return this.#isEmptyArray(facts.array);
      return type === 'object' && this.#isEmptyObject(facts.object);
    });
  }

  #isEmptyString({ string }: Facts): boolean {
    if (string.max !== undefined && string.min > string.max) return true;
    const language = this.languages.of(string);
    return language !== undefined && isEmptyLanguage(language);
  }

  #isEmptyArray(facts: ArrayFacts): boolean {
    if (facts.max !== undefined && facts.min > facts.max) return true;
    const different = Math.max(0, ...facts.groups.map(({ prefix }) => prefix.length)) + 1;
    for (let index = 0; index < Math.min(facts.min, different); index++)
      if (this.isSure(itemConjuncts(facts, index))) return true;
    return false;
  }

  #isEmptyObject(facts: ObjectFacts): boolean {
    if (facts.max !== undefined && Math.max(facts.min, facts.required.size) > facts.max) return true;
    return [...facts.required].some((name) => this.isForbidden(facts, name));
  }

  /** No member of this name can be. */
  isForbidden(facts: ObjectFacts, name: string): boolean {
    if (!facts.names.every((schema) => this.evaluator.fits(name, schema))) return true;
    return this.isSure(this.member(facts, name));
  }

  /** What holds for the value of a member. */
  member(facts: ObjectFacts, name: string): readonly Schema[] {
    return memberConjuncts(facts, name, (pattern, at) => this.languages.matchesPattern(name, pattern, at));
  }
}

function isEmptyRange({ integer, min, max }: NumberFacts): boolean {
  if (min === undefined || max === undefined) return false;
  if (min.value > max.value) return true;
  if (min.value === max.value)
    return min.exclusive || max.exclusive || (integer && !Number.isInteger(min.value));
  if (!integer) return false;
  const first = min.exclusive ? Math.floor(min.value) + 1 : Math.ceil(min.value);
  return first > max.value || (max.exclusive && first === max.value);
}
