import { type CodePoints, contains, union } from './code-points.js';

export interface Edge {
  readonly set: CodePoints;
  readonly to: number;
}

/**
 * A deterministic automaton over code points: the sets of one state's edges are disjoint, what no edge reads is refused.
 * State 0 is its start. Every state leads to an accepting one, except for the only state of the empty language.
 */
export interface Dfa {
  readonly accepts: readonly boolean[];
  readonly edges: readonly (readonly Edge[])[];
}

export const isEmptyLanguage = (dfa: Dfa): boolean => dfa.accepts.length === 1 && dfa.accepts[0] === false;

export function matches(dfa: Dfa, text: string): boolean {
  let state = 0;
  for (const character of text) {
    const codePoint = character.codePointAt(0) as number;
    const edge = dfa.edges[state]?.find(({ set }) => contains(set, codePoint));
    if (edge === undefined) return false;
    state = edge.to;
  }
  return dfa.accepts[state] === true;
}

/** Without states that lead nowhere, in the order in which they are reached, one edge for each pair of states. */
export function trimmed(accepts: readonly boolean[], edges: readonly (readonly Edge[])[]): Dfa {
  const alive = leadingToAccept(accepts, edges);
  const numbers = new Map([[0, 0]]);
  const order = [0];
  const kept: Edge[][] = [];
  for (let at = 0; at < order.length; at++) {
    const byTarget = new Map<number, CodePoints[]>();
    for (const { set, to } of edges[order[at] as number] ?? []) {
      if (!alive.has(to)) continue;
      if (!numbers.has(to)) {
        numbers.set(to, order.length);
        order.push(to);
      }
      const target = numbers.get(to) as number;
      byTarget.set(target, [...(byTarget.get(target) ?? []), set]);
    }
    kept.push([...byTarget].map(([to, sets]) => ({ to, set: union(sets) })));
  }
  return { accepts: order.map((state) => accepts[state] === true), edges: kept };
}

function leadingToAccept(
  accepts: readonly boolean[],
  edges: readonly (readonly Edge[])[],
): ReadonlySet<number> {
  const before: number[][] = accepts.map(() => []);
  for (const [from, each] of edges.entries()) for (const { to } of each) before[to]?.push(from);
  const alive = new Set<number>();
  const open = accepts.flatMap((accept, state) => (accept ? [state] : []));
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    if (alive.has(state)) continue;
    alive.add(state);
    open.push(...(before[state] ?? []));
  }
  return alive;
}
