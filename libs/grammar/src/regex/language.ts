import { ALL, intersection } from '../automaton/code-points.js';
import { determinized } from '../automaton/determinize.js';
import type { Dfa } from '../automaton/dfa.js';
import { Nfa } from '../automaton/nfa.js';
import type { Budget } from '../budget.js';
import type { RegexNode } from './nodes.js';
import { parseRegex } from './parser.js';

/** `whole`: the pattern matches the whole text. `somewhere`: a part of it, as JSON Schema's `pattern` says. */
export type Extent = 'whole' | 'somewhere';

/** The texts that a regular expression matches. Throws a `StructureError`. */
export function regexLanguage(source: string, extent: Extent, budget: Budget): Dfa {
  const node = parseRegex(source, budget);
  const nfa = new Nfa(budget);
  const start = nfa.add();
  if (extent === 'somewhere') nfa.read(start, ALL, start);
  const end = build(nfa, node, start);
  const accept = nfa.add();
  nfa.free(end, accept);
  if (extent === 'somewhere') nfa.read(accept, ALL, accept);
  nfa.accept = accept;
  return determinized(nfa, budget);
}

/** Adds the states of `node` after `from`; returns the state behind it. */
function build(nfa: Nfa, node: RegexNode, from: number): number {
  if (node.kind === 'sequence') return node.items.reduce((at, item) => build(nfa, item, at), from);
  if (node.kind === 'repeat') return buildRepeat(nfa, node, from);
  const to = nfa.add();
  if (node.kind === 'set') nfa.read(from, intersection(node.set, ALL), to);
  else if (node.kind === 'choice') {
    for (const item of node.items) {
      // A state of its own: a loop in one branch must not lead back into another.
      const branch = nfa.add();
      nfa.free(from, branch);
      nfa.free(build(nfa, item, branch), to);
    }
  } else nfa.free(from, to, node.kind);
  return to;
}

function buildRepeat(nfa: Nfa, node: Extract<RegexNode, { kind: 'repeat' }>, from: number): number {
  let at = from;
  for (let i = 0; i < node.min; i++) at = build(nfa, node.item, at);
  const exit = nfa.add();
  if (node.max === undefined) {
    const loop = nfa.add();
    nfa.free(at, loop);
    nfa.free(build(nfa, node.item, loop), loop);
    nfa.free(loop, exit);
    return exit;
  }
  for (let i = node.min; i < node.max; i++) {
    nfa.free(at, exit);
    at = build(nfa, node.item, at);
  }
  nfa.free(at, exit);
  return exit;
}
