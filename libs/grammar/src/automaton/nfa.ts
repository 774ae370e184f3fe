import type { Budget } from '../budget.js';
import type { CodePoints } from './code-points.js';

/** `start`: passable only where nothing was read yet; `end`: only where nothing follows. */
export type Condition = 'always' | 'start' | 'end';

export interface NfaState {
  readonly free: { readonly when: Condition; readonly to: number }[];
  readonly reads: { readonly set: CodePoints; readonly to: number }[];
}

/** A nondeterministic automaton over code points. State 0 is its start. */
export class Nfa {
  readonly states: NfaState[] = [];
  accept = 0;

  constructor(private readonly budget: Budget) {}

  add(): number {
    this.budget.work(10);
    this.budget.states(1);
    return this.states.push({ free: [], reads: [] }) - 1;
  }

  free(from: number, to: number, when: Condition = 'always'): void {
    this.states[from]?.free.push({ when, to });
  }

  read(from: number, set: CodePoints, to: number): void {
    if (set.length > 0) this.states[from]?.reads.push({ set, to });
  }
}
