import type { CodePoints } from '../automaton/code-points.js';
import type { Dfa } from '../automaton/dfa.js';
import { choice, type Expression, NEVER, repeat, rule, sequence } from './expression.js';
import type { Rules } from './rules.js';

export interface Spelling {
  /** One character of the set. */
  character(set: CodePoints): Expression;
  /** What follows a text that ends in this state. */
  end(state: number): Expression;
}

/** States with one way in are written where they are used, so deep at most. */
const INLINE_DEPTH = 12;

/** The texts of an automaton as an expression: a rule for each state that is reached in several ways. */
export function expressionOf(dfa: Dfa, spelling: Spelling, rules: Rules, kind: string): Expression {
  const waysIn = dfa.accepts.map(() => 0);
  for (const [from, edges] of dfa.edges.entries())
    for (const { to } of edges) if (to !== from) waysIn[to] = (waysIn[to] as number) + 1;
  const names = new Map<number, string>();

  const body = (state: number, depth: number): Expression => {
    const edges = dfa.edges[state] ?? [];
    const loop = edges.find(({ to }) => to === state);
    const onward = edges
      .filter(({ to }) => to !== state)
      .map(({ set, to }) => sequence(spelling.character(set), reference(to, depth + 1)));
    if (dfa.accepts[state]) onward.push(spelling.end(state));
    const rest = onward.length === 0 ? NEVER : choice(...onward);
    return loop === undefined ? rest : sequence(repeat(spelling.character(loop.set), 0), rest);
  };
  const pending: { state: number; name: string }[] = [];
  const reference = (state: number, depth: number): Expression => {
    if (state !== 0 && waysIn[state] === 1 && depth <= INLINE_DEPTH) return body(state, depth);
    const known = names.get(state);
    if (known !== undefined) return rule(known);
    const name = rules.reserve(kind);
    names.set(state, name);
    pending.push({ state, name });
    return rule(name);
  };
  const whole = waysIn[0] === 0 ? body(0, 0) : reference(0, 0);
  for (let next = pending.pop(); next !== undefined; next = pending.pop())
    rules.define(next.name, body(next.state, 0));
  return whole;
}
