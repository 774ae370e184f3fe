import { ALL, type CodePoints, difference, ofCharacters } from '../automaton/code-points.js';
import { choice, type Expression, rule, sequence, text } from '../ebnf/expression.js';
import { characterAlternatives } from '../ebnf/utf8.js';
import type { GrammarTools } from '../grammar-tools.js';

export interface FreeText {
  readonly triggers: readonly string[];
  /** What follows where a trigger ends for the first time. */
  readonly after: (trigger: string) => Expression;
  /** What follows where the text ends without one; `NEVER`: it must not. */
  readonly end: Expression;
}

/** Any text up to the first trigger in it: an automaton of the beginnings of triggers that were just read. */
export function freeText({ triggers, after, end }: FreeText, { rules, budget }: GrammarTools): Expression {
  const beginnings = new Set(
    triggers.flatMap((trigger) => [...trigger].map((_, i, all) => all.slice(0, i).join(''))),
  );
  const letters = new Set(triggers.flatMap((trigger) => [...trigger]));
  const others: CodePoints = difference(ALL, ofCharacters([...letters].join('')));
  const names = new Map([...beginnings].map((beginning) => [beginning, rules.reserve('free')]));
  const state = (beginning: string) => rule(names.get(beginning) as string);
  for (const beginning of beginnings) {
    const onward = [...letters].map((letter) => {
      budget.work(triggers.length);
      const read = beginning + letter;
      const ended = triggers.filter((trigger) => read.endsWith(trigger));
      return sequence(
        text(letter),
        ended.length > 0 ? choice(...ended.map(after)) : state(longestEnd(read, beginnings)),
      );
    });
    const other = characterAlternatives(others, rules).map((one) => sequence(one, state('')));
    rules.define(names.get(beginning) as string, choice(...onward, ...other, end));
  }
  return state('');
}

/** The longest end of what was read that a trigger begins with. */
function longestEnd(read: string, beginnings: ReadonlySet<string>): string {
  const all = [...read];
  for (let i = 0; i < all.length; i++) {
    const end = all.slice(i).join('');
    if (beginnings.has(end)) return end;
  }
  return '';
}
