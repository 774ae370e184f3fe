import {
  type CharacterTest,
  parsePythonRegex,
  PythonRegexError,
  type RegexNode,
  wordCharacter,
} from './python-regex-parser.js';

/*
 * Says whether a Python regular expression matches a module's name. It computes, for a set of positions, all positions
 * where a match can end, instead of trying one way after the other. So a hostile pattern cannot make it backtrack for
 * years, and greedy and lazy are the same. Names are ASCII without line breaks, where `$` and the Unicode classes of
 * Python hold no surprise.
 */

/** Positions in the name, by index: 1 where a match can be. Length: name's length + 1. */
type Positions = Uint8Array;

/** Character tests and copies that all patterns of one adapter may take together. */
export interface RegexBudget {
  steps: number;
}
/** A model with thousands of experts has as many names for a pattern to be tried on. */
export const newRegexBudget = (names = 0): RegexBudget => ({ steps: 50_000_000 + 5_000 * names });

export class PythonRegex {
  private readonly root: RegexNode;

  /** Throws PythonRegexError for what is no pattern or is not supported. */
  constructor(
    readonly pattern: string,
    private readonly budget: RegexBudget,
  ) {
    this.root = parsePythonRegex(pattern);
  }

  /** Python's re.fullmatch. */
  fullMatch(name: string): boolean {
    return this.ends(name)[name.length] === 1;
  }

  /** Python's re.match: matches at the start, and may end anywhere. */
  matchesPrefix(name: string): boolean {
    return this.ends(name).includes(1);
  }

  private ends(name: string): Positions {
    const start = new Uint8Array(name.length + 1);
    start[0] = 1;
    return advance(this.root, name, start, this.budget);
  }
}

function advance(node: RegexNode, name: string, from: Positions, budget: RegexBudget): Positions {
  budget.steps -= from.length;
  if (budget.steps < 0) throw new PythonRegexError('the pattern is too expensive to match');
  switch (node.kind) {
    case 'character':
      return step(node.test, name, from);
    case 'sequence':
      return node.items.reduce((at, item) => (at.includes(1) ? advance(item, name, at, budget) : at), from);
    case 'alternatives':
      return union(node.items.map((item) => advance(item, name, from, budget)));
    case 'repeat':
      return repeat(node, name, from, budget);
    case 'anchor':
      return from.map((set, at) => (set === 1 && anchored(node.at, name, at) ? 1 : 0));
    case 'lookahead':
      return from.map((set, at) => {
        if (set === 0) return 0;
        const here = new Uint8Array(from.length);
        here[at] = 1;
        return advance(node.item, name, here, budget).includes(1) === node.negative ? 0 : 1;
      });
  }
}

function step(test: (code: number) => boolean, name: string, from: Positions): Positions {
  const to = new Uint8Array(from.length);
  for (let at = 0; at < name.length; at += 1) {
    if (from[at] === 1 && test(name.charCodeAt(at))) to[at + 1] = 1;
  }
  return to;
}

function repeat(
  node: RegexNode & { kind: 'repeat' },
  name: string,
  from: Positions,
  budget: RegexBudget,
): Positions {
  let frontier = from;
  for (let count = 0; count < node.min; count += 1) {
    if (!frontier.includes(1)) return frontier;
    frontier = advance(node.item, name, frontier, budget);
  }
  const reached = Uint8Array.from(frontier);
  if (node.item.kind === 'character' && node.max === Number.POSITIVE_INFINITY) {
    return sweep(node.item.test, name, reached);
  }
  for (let count = node.min; count < node.max && frontier.includes(1); count += 1) {
    const next = advance(node.item, name, frontier, budget);
    // Only what is new goes on, so the loop ends after at most one round per position. The fewest rounds lead to each
    // position first, so an upper limit cuts off nothing that it should not.
    frontier = next.map((set, at) => (set === 1 && reached[at] === 0 ? 1 : 0));
    merge(reached, frontier);
  }
  return reached;
}

/** `x*` in one pass: from each position on as far as the characters belong. */
function sweep(test: CharacterTest, name: string, reached: Positions): Positions {
  for (let at = 0; at < name.length; at += 1) {
    if (reached[at] === 1 && test(name.charCodeAt(at))) reached[at + 1] = 1;
  }
  return reached;
}

function union(all: readonly Positions[]): Positions {
  const result = new Uint8Array(all[0]?.length ?? 0);
  for (const positions of all) merge(result, positions);
  return result;
}

function merge(into: Positions, more: Positions): void {
  for (let at = 0; at < more.length; at += 1) if (more[at] === 1) into[at] = 1;
}

function anchored(at: 'start' | 'end' | 'boundary' | 'inside', name: string, position: number): boolean {
  if (at === 'start') return position === 0;
  if (at === 'end') return position === name.length;
  const before = position > 0 && wordCharacter(name.charCodeAt(position - 1));
  const after = position < name.length && wordCharacter(name.charCodeAt(position));
  return (before !== after) === (at === 'boundary');
}
