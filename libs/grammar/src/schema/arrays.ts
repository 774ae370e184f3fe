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
import type { JsonSpelling } from '../json/spelling.js';
import type { Schema } from './document.js';
import type { Emptiness } from './emptiness.js';
import { type ArrayFacts, itemConjuncts } from './facts.js';

export interface ArrayTools {
  readonly emptiness: Emptiness;
  readonly spelling: JsonSpelling;
  /** The values that fit all of them. */
  valueOf(schemas: readonly Schema[]): Expression;
}

/** The arrays of these facts. */
export function arrayExpression(facts: ArrayFacts, tools: ArrayTools): Expression {
  const { spelling } = tools;
  const prefixLength = Math.max(0, ...facts.groups.map(({ prefix }) => prefix.length));
  let max = facts.max ?? Infinity;
  const items: Expression[] = [];
  // One more than the prefix: what holds for all behind it.
  for (let index = 0; index <= prefixLength && index < max; index++) {
    const conjuncts = itemConjuncts(facts, index);
    if (tools.emptiness.isSure(conjuncts)) max = index;
    else items.push(tools.valueOf(conjuncts));
  }
  if (facts.min > max) return NEVER;
  const open = sequence(text('['), spelling.blank());
  const end = sequence(spelling.blank(), text(']'));
  const [first] = items;
  if (max === 0 || first === undefined) return sequence(open, text(']'));
  const rest = tailFrom(1, { items, min: facts.min, max, prefixLength }, spelling);
  const some = sequence(first, rest, end);
  return sequence(open, facts.min > 0 ? some : choice(some, text(']')));
}

interface Items {
  readonly items: readonly Expression[];
  readonly min: number;
  readonly max: number;
  readonly prefixLength: number;
}

/** The items from `index` on, each behind its comma. */
function tailFrom(index: number, list: Items, spelling: JsonSpelling): Expression {
  const { items, min, max, prefixLength } = list;
  if (index >= max) return text('');
  if (index >= prefixLength) {
    const item = items[prefixLength];
    if (item === undefined || isNever(item)) return text('');
    return repeat(spelling.next(item), Math.max(0, min - index), max === Infinity ? undefined : max - index);
  }
  const here = sequence(spelling.next(items[index] as Expression), tailFrom(index + 1, list, spelling));
  return index < min ? here : optional(here);
}
