import type { Budget } from '../budget.js';
import { complement, type CodePoints, intersection, union } from './code-points.js';
import { type Dfa, type Edge, trimmed } from './dfa.js';
import { minimized } from './minimize.js';

/** No text is accepted from here on. */
const DEAD = -1;

/** Texts that both accept. */
export const both = (a: Dfa, b: Dfa, budget: Budget): Dfa => product(a, b, (x, y) => x && y, budget);
/** Texts that `a` accepts and `b` does not. */
export const without = (a: Dfa, b: Dfa, budget: Budget): Dfa => product(a, b, (x, y) => x && !y, budget);
/** Texts that one of them accepts. */
export const either = (a: Dfa, b: Dfa, budget: Budget): Dfa => product(a, b, (x, y) => x || y, budget);

function product(a: Dfa, b: Dfa, combine: (a: boolean, b: boolean) => boolean, budget: Budget): Dfa {
  const numbers = new Map<string, number>();
  const pairs: [number, number][] = [];
  const accepts: boolean[] = [];
  const edges: Edge[][] = [];
  const needsA = !combine(false, true);
  const needsB = !combine(true, false);
  const numberOf = (x: number, y: number): number => {
    const key = `${x} ${y}`;
    let number = numbers.get(key);
    if (number === undefined) {
      budget.states(1);
      number = pairs.push([x, y]) - 1;
      numbers.set(key, number);
      accepts.push(combine(a.accepts[x] === true, b.accepts[y] === true));
    }
    return number;
  };
  numberOf(0, 0);
  for (let at = 0; at < pairs.length; at++) {
    const [x, y] = pairs[at] as [number, number];
    const own: Edge[] = [];
    for (const one of withRest(a.edges[x] ?? [], needsA))
      for (const two of withRest(b.edges[y] ?? [], needsB)) {
        const set = intersection(one.set, two.set);
        budget.work(4 + set.length);
        if (set.length > 0 && (one.to !== DEAD || two.to !== DEAD))
          own.push({ set, to: numberOf(one.to, two.to) });
      }
    edges.push(own);
  }
  return minimized(trimmed(accepts, edges), budget);
}

/** And, unless only its own texts matter, an edge to the dead state with all that no other edge reads. */
function withRest(edges: readonly Edge[], needed: boolean): readonly Edge[] {
  if (needed) return edges;
  const rest: CodePoints = complement(union(edges.map(({ set }) => set)));
  return rest.length === 0 ? edges : [...edges, { set: rest, to: DEAD }];
}
