import type { Budget } from '../budget.js';
import { type Dfa, trimmed } from './dfa.js';

/** Larger ones are left as they are: they come from counting, where states are rarely alike. */
const MOST_STATES = 400;

/** Joins states that no text tells apart: the classes are split until they agree on all edges. */
export function minimized(dfa: Dfa, budget: Budget): Dfa {
  const count = dfa.accepts.length;
  if (count > MOST_STATES) return dfa;
  let classes = dfa.accepts.map(Number);
  for (let distinct = new Set(classes).size; ; ) {
    const numbers = new Map<string, number>();
    classes = classes.map((own, state) => {
      budget.work(1 + (dfa.edges[state]?.length ?? 0));
      const signature = `${own}|${edgeSignature(dfa, state, classes)}`;
      const number = numbers.get(signature) ?? numbers.size;
      numbers.set(signature, number);
      return number;
    });
    if (numbers.size === distinct) break;
    distinct = numbers.size;
  }
  const accepts: boolean[] = [];
  const edges: { set: readonly number[]; to: number }[][] = [];
  for (const [state, own] of classes.entries()) {
    if (edges[own] !== undefined) continue;
    accepts[own] = dfa.accepts[state] === true;
    edges[own] = (dfa.edges[state] ?? []).map(({ set, to }) => ({ set, to: classes[to] as number }));
  }
  // The start is the first state seen, so its class has number 0.
  return trimmed(accepts, edges);
}

function edgeSignature(dfa: Dfa, state: number, classes: readonly number[]): string {
  const byClass = new Map<number, string[]>();
  for (const { set, to } of dfa.edges[state] ?? []) {
    const target = classes[to] as number;
    const ranges = byClass.get(target) ?? [];
    for (let i = 0; i < set.length; i += 2)
      ranges.push(`${String(set[i]).padStart(7, '0')}-${String(set[i + 1])}`);
    byClass.set(target, ranges);
  }
  return [...byClass]
    .sort(([a], [b]) => a - b)
    .map(([target, ranges]) => `${target}:${joinedRanges(ranges)}`)
    .join(';');
}

/** Touching ranges become one, so that the same set always has the same spelling. */
function joinedRanges(ranges: string[]): string {
  const spans = ranges
    .map((range) => range.split('-').map(Number) as [number, number])
    .sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [first, last] of spans) {
    const end = joined.at(-1);
    if (end !== undefined && first === end[1] + 1) end[1] = last;
    else joined.push([first, last]);
  }
  return joined.map((span) => span.join('-')).join(',');
}
