import type { Budget } from '../budget.js';
import { ALL, type CodePoints, single } from './code-points.js';
import { type Dfa, type Edge, trimmed } from './dfa.js';
import { minimized } from './minimize.js';

export const EVERY_TEXT: Dfa = { accepts: [true], edges: [[{ set: ALL, to: 0 }]] };

/** Texts of `min` to `max` characters. */
export function ofLength(min: number, max: number | undefined, budget: Budget): Dfa {
  const last = max ?? min;
  budget.states(last + 1);
  const accepts: boolean[] = [];
  const edges: Edge[][] = [];
  for (let length = 0; length <= last; length++) {
    accepts.push(length >= min);
    const to = length < last ? length + 1 : max === undefined ? length : undefined;
    edges.push(to === undefined ? [] : [{ set: ALL, to }]);
  }
  return trimmed(accepts, edges);
}

/** Exactly these texts. */
export function ofTexts(texts: Iterable<string>, budget: Budget): Dfa {
  const accepts = [false];
  const next: Map<number, number>[] = [new Map()];
  for (const text of texts) {
    let state = 0;
    for (const character of text) {
      const codePoint = character.codePointAt(0) as number;
      let to = next[state]?.get(codePoint);
      if (to === undefined) {
        budget.states(1);
        to = accepts.push(false) - 1;
        next.push(new Map());
        next[state]?.set(codePoint, to);
      }
      state = to;
    }
    accepts[state] = true;
  }
  const edges = next.map((each) => [...each].map(([codePoint, to]) => ({ set: single(codePoint), to })));
  return minimized(trimmed(accepts, edges), budget);
}

export interface Machine<State> {
  readonly start: State;
  /** Each letter that it reads, disjoint. */
  readonly letters: readonly CodePoints[];
  step(state: State, letter: number): State | undefined;
  accepts(state: State): boolean;
  /** The same for states that mean the same. */
  key(state: State): string;
}

/** The automaton of a machine with finitely many states. */
export function ofMachine<State>(machine: Machine<State>, budget: Budget): Dfa {
  const numbers = new Map([[machine.key(machine.start), 0]]);
  const states = [machine.start];
  const edges: Edge[][] = [];
  for (let at = 0; at < states.length; at++) {
    const own: Edge[] = [];
    for (const [letter, set] of machine.letters.entries()) {
      const to = machine.step(states[at] as State, letter);
      if (to === undefined) continue;
      const key = machine.key(to);
      let number = numbers.get(key);
      if (number === undefined) {
        budget.states(1);
        number = states.push(to) - 1;
        numbers.set(key, number);
      }
      own.push({ set, to: number });
    }
    edges.push(own);
  }
  return minimized(
    trimmed(
      states.map((state) => machine.accepts(state)),
      edges,
    ),
    budget,
  );
}
