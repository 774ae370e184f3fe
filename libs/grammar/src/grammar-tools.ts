import { Budget, type StructureLimits } from './budget.js';
import { Rules } from './ebnf/rules.js';
import { JsonSpelling, type WhiteSpace } from './json/spelling.js';

/** What the parts of one grammar are made with. */
export interface GrammarTools {
  readonly rules: Rules;
  readonly spelling: JsonSpelling;
  readonly budget: Budget;
}

export function grammarTools(whiteSpace: WhiteSpace, limits?: StructureLimits): GrammarTools {
  const budget = new Budget(limits);
  const rules = new Rules(budget.limits.grammarBytes);
  return { rules, budget, spelling: new JsonSpelling(rules, whiteSpace, budget) };
}
