import type { Budget } from '../budget.js';
import type { CodePoints } from './code-points.js';
import { union } from './code-points.js';
import { type Dfa, type Edge, trimmed } from './dfa.js';
import { minimized } from './minimize.js';
import type { Condition, Nfa } from './nfa.js';

/** The smallest deterministic automaton of the same language. */
export function determinized(nfa: Nfa, budget: Budget): Dfa {
  const letters = new Letters(nfa);
  const numbers = new Map<string, number>();
  const subsets: number[][] = [];
  const accepts: boolean[] = [];
  const edges: Edge[][] = [];
  const numberOf = (subset: number[], atStart: boolean): number => {
    const key = `${atStart ? '^' : ''}${subset.join(' ')}`;
    let number = numbers.get(key);
    if (number === undefined) {
      budget.states(1);
      number = subsets.push(subset) - 1;
      numbers.set(key, number);
      const atEnd = closure(nfa, subset, atStart ? ['always', 'start', 'end'] : ['always', 'end'], budget);
      accepts.push(atEnd.includes(nfa.accept));
    }
    return number;
  };
  numberOf(closure(nfa, [0], ['always', 'start'], budget), true);
  for (let at = 0; at < subsets.length; at++) {
    const targets = new Map<number, Set<number>>();
    for (const state of subsets[at] ?? [])
      for (const { set, to } of nfa.states[state]?.reads ?? [])
        for (const letter of letters.of(set)) {
          budget.work(1);
          const reached = targets.get(letter);
          if (reached === undefined) targets.set(letter, new Set([to]));
          else reached.add(to);
        }
    edges.push(
      [...targets].map(([letter, reached]) => ({
        set: letters.sets[letter] as CodePoints,
        to: numberOf(closure(nfa, reached, ['always'], budget), false),
      })),
    );
  }
  return minimized(trimmed(accepts, edges), budget);
}

function closure(nfa: Nfa, from: Iterable<number>, passable: readonly Condition[], budget: Budget): number[] {
  const seen = new Set(from);
  const open = [...seen];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    for (const { when, to } of nfa.states[state]?.free ?? []) {
      budget.work(1);
      if (seen.has(to) || !passable.includes(when)) continue;
      seen.add(to);
      open.push(to);
    }
  }
  return [...seen].sort((a, b) => a - b);
}

/** Code points that no set of the automaton tells apart are one letter. */
class Letters {
  readonly sets: CodePoints[] = [];
  readonly #lettersOf = new Map<CodePoints, number[]>();

  constructor(nfa: Nfa) {
    const distinct = [...new Set(nfa.states.flatMap(({ reads }) => reads.map(({ set }) => set)))];
    const bySpelling = new Map<string, CodePoints>();
    for (const set of distinct) bySpelling.set(set.join(), set);
    const pieces = pieceMembers([...bySpelling.values()]);
    const groups = new Map<string, { members: readonly number[]; ranges: CodePoints[] }>();
    for (const { first, last, members } of pieces) {
      const key = members.join();
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { members, ranges: [[first, last]] });
      else group.ranges.push([first, last]);
    }
    const letters: number[][] = [...bySpelling].map(() => []);
    for (const { members, ranges } of groups.values()) {
      const letter = this.sets.push(union(ranges)) - 1;
      for (const member of members) letters[member]?.push(letter);
    }
    const order = [...bySpelling.keys()];
    const indexOf = new Map(order.map((spelling, index) => [spelling, index]));
    for (const set of distinct) this.#lettersOf.set(set, letters[indexOf.get(set.join()) as number] ?? []);
  }

  of(set: CodePoints): readonly number[] {
    return this.#lettersOf.get(set) ?? [];
  }
}

interface Piece {
  readonly first: number;
  readonly last: number;
  /** Indexes of the sets that hold it. */
  readonly members: readonly number[];
}

/** The ranges between all bounds of the sets, with the sets that hold each. */
function pieceMembers(sets: readonly CodePoints[]): Piece[] {
  const events = sets.flatMap((set, index) =>
    set.map((point, i) => ({ at: i % 2 === 0 ? point : point + 1, index, opens: i % 2 === 0 })),
  );
  events.sort((a, b) => a.at - b.at);
  const open = new Set<number>();
  const pieces: Piece[] = [];
  for (const [i, { at, index, opens }] of events.entries()) {
    if (opens) open.add(index);
    else open.delete(index);
    const next = events[i + 1]?.at;
    if (next !== undefined && next > at && open.size > 0)
      pieces.push({ first: at, last: next - 1, members: [...open].sort((a, b) => a - b) });
  }
  return pieces;
}
