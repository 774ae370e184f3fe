import type { Expression } from './ebnf/expression.js';
import { parseGrammar } from './ebnf/parser.js';
import type { GrammarTools } from './grammar-tools.js';
import { isLark, parseLark } from './lark/parser.js';

/** A grammar as callers write it: EBNF, or Lark's language. */
export function grammarExpression(source: string, tools: GrammarTools): Expression {
  return isLark(source) ? parseLark(source, tools) : parseGrammar(source, tools);
}
