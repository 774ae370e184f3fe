import type { CodePoints } from '../automaton/code-points.js';
import type { Dfa } from '../automaton/dfa.js';
import { choice, type Expression, rule, sequence } from './expression.js';
import type { Rules } from './rules.js';

export interface Spelling {
  /** The ways to spell one character of the set. */
  alternatives(set: CodePoints): readonly Expression[];
  /** What follows a text that ends. */
  readonly end: Expression;
}

/** States of one way on are written where they are used, so many in a row at most. */
const INLINE_DEPTH = 12;

/** The texts of an automaton as an expression: a rule for each state, that ends with the text only. */
export function expressionOf(dfa: Dfa, spelling: Spelling, rules: Rules, kind: string): Expression {
  const names = new Map<number, string>();
  const pending: number[] = [];
  const isLine = (state: number) => dfa.edges[state]?.length === 1 && dfa.accepts[state] === false;

  const body = (state: number, depth: number): Expression => {
    const onward = (dfa.edges[state] ?? []).flatMap(({ set, to }) =>
      spelling.alternatives(set).map((one) => sequence(one, reference(to, depth + 1))),
    );
    return choice(...onward, ...(dfa.accepts[state] ? [spelling.end] : []));
  };
  const reference = (state: number, depth: number): Expression => {
    const isEnd = dfa.edges[state]?.length === 0;
    if (isEnd || (isLine(state) && depth <= INLINE_DEPTH && !names.has(state) && !isLoop(dfa, state))) {
      const own = body(state, depth);
      if (isEnd || own.kind !== 'choice') return own;
    }
    const known = names.get(state);
    if (known !== undefined) return rule(known);
    const name = rules.reserve(kind);
    names.set(state, name);
    pending.push(state);
    return rule(name);
  };
  const whole = reference(0, 0);
  for (let state = pending.pop(); state !== undefined; state = pending.pop())
    rules.define(names.get(state) as string, body(state, 0));
  return whole;
}

const isLoop = (dfa: Dfa, state: number): boolean =>
  dfa.edges[state]?.some(({ to }) => to === state) === true;
