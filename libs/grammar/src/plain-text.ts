import { LONE_SURROGATE } from './automaton/code-points.js';
import { isEmptyLanguage } from './automaton/dfa.js';
import { choice, type Expression, NEVER, NOTHING, text } from './ebnf/expression.js';
import { expressionOf } from './ebnf/from-automaton.js';
import { characterAlternatives } from './ebnf/utf8.js';
import { StructureError } from './errors.js';
import type { GrammarTools } from './grammar-tools.js';
import { regexLanguage } from './regex/language.js';

/** The texts that the regular expression matches as a whole. */
export function regexExpression(pattern: string, { rules, budget }: GrammarTools): Expression {
  budget.input(pattern.length);
  const language = regexLanguage(pattern, 'whole', budget);
  if (isEmptyLanguage(language)) return NEVER;
  return expressionOf(
    language,
    { alternatives: (set) => characterAlternatives(set, rules), end: NOTHING },
    rules,
    'regex',
  );
}

export function choiceExpression(choices: readonly string[], { budget }: GrammarTools): Expression {
  budget.input(choices.reduce((sum, each) => sum + each.length + 3, 0));
  for (const each of choices)
    if (LONE_SURROGATE.test(each)) throw new StructureError('invalid', 'a choice is not well-formed Unicode');
  return choice(...[...new Set(choices)].map(text));
}
