import { type Dfa, matches } from '../automaton/dfa.js';
import { EVERY_TEXT, ofLength } from '../automaton/languages.js';
import { both } from '../automaton/product.js';
import type { Budget } from '../budget.js';
import { StructureError } from '../errors.js';
import { regexLanguage } from '../regex/language.js';
import type { Schema } from './document.js';
import type { StringFacts } from './facts.js';
import { formatLanguage, REFUSED_FORMATS } from './formats.js';

/** Longer bounds beside a pattern or format need too many states anyway. */
const MOST_COUNTED = 10_000;

/** The texts that the keywords of strings allow. */
export class StringLanguages {
  readonly #patterns = new Map<string, Dfa>();

  constructor(private readonly budget: Budget) {}

  pattern(source: string, at: Schema, keyword = 'pattern'): Dfa {
    const known = this.#patterns.get(source);
    if (known !== undefined) return known;
    const language = named(keyword, at, () => regexLanguage(source, 'somewhere', this.budget));
    this.#patterns.set(source, language);
    return language;
  }

  matchesPattern(text: string, source: string, at: Schema): boolean {
    return matches(this.pattern(source, at), text);
  }

  matchesFormat(text: string, name: string, at: Schema): boolean {
    const language = this.#format(name, at);
    return language === undefined || matches(language, text);
  }

  /** Undefined where only the length is bounded, if anything is. */
  of(facts: StringFacts): Dfa | undefined {
    const { budget } = this;
    const languages = [
      ...facts.patterns.map(({ source, at }) => this.pattern(source, at)),
      ...facts.formats.flatMap(({ name, at }) => this.#format(name, at) ?? []),
    ];
    const [first, ...rest] = languages;
    if (first === undefined) return undefined;
    const at = [...facts.patterns, ...facts.formats][0]?.at as Schema;
    return named(facts.patterns.length > 0 ? 'pattern' : 'format', at, () => {
      const whole = rest.reduce((a, b) => both(a, b, budget), first);
      if (facts.min === 0 && facts.max === undefined) return whole;
      if (Math.max(facts.min, facts.max ?? 0) > MOST_COUNTED)
        throw new StructureError('too_large', `a bound of more than ${MOST_COUNTED} characters beside it`);
      return both(whole, ofLength(facts.min, facts.max, budget), budget);
    });
  }

  /** As `of`, where a language is needed in any case. */
  always(facts: StringFacts): Dfa {
    const isFree = facts.min === 0 && facts.max === undefined;
    return this.of(facts) ?? (isFree ? EVERY_TEXT : ofLength(facts.min, facts.max, this.budget));
  }

  #format(name: string, at: Schema): Dfa | undefined {
    if (REFUSED_FORMATS.includes(name))
      throw new StructureError(
        'unsupported',
        `format: ${JSON.stringify(name)} cannot be enforced`,
        'format',
        at.pointer,
      );
    return formatLanguage(name);
  }
}

/** Faults get the keyword and the place that they come from. */
function named<T>(keyword: string, at: Schema, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof StructureError) || error.keyword !== undefined) throw error;
    throw new StructureError(error.fault, `${keyword}: ${error.message}`, keyword, at.pointer);
  }
}
