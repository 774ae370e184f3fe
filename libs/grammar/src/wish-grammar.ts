import type { StructureWish } from '#contracts/structure-wish.js';
import type { StructureLimits } from './budget.js';
import type { Expression } from './ebnf/expression.js';
import { grammarExpression } from './grammar-text.js';
import { type GrammarTools, grammarTools } from './grammar-tools.js';
import { choiceExpression, regexExpression } from './plain-text.js';
import { schemaExpression } from './schema/compiler.js';
import { formatExpression } from './tags/formats.js';

/**
 * The grammar of the answers that a wish allows, as text for the automaton library. Pure, and bounded by `limits`. Throws a
 * `StructureError` for a wish that is malformed, too large, or cannot be kept exactly.
 */
export function wishGrammar(wish: StructureWish, limits?: StructureLimits): string {
  const tools = grammarTools(wish.compact === true ? 'compact' : 'flexible', limits);
  return tools.rules.text(expressionFor(wish, tools));
}

function expressionFor(wish: StructureWish, tools: GrammarTools): Expression {
  switch (wish.kind) {
    case 'json_object':
      return tools.spelling.object();
    case 'json_schema':
      return schemaExpression(wish.schema, tools);
    case 'regex':
      return regexExpression(wish.pattern, tools);
    case 'choice':
      return choiceExpression(wish.choices, tools);
    case 'grammar':
      return grammarExpression(wish.grammar, tools);
    case 'structural_tag':
      return formatExpression(wish.format, tools);
  }
}
