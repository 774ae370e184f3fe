import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { acceptedOf } from '../../../../test/support/grammars.js';
import { wishGrammar } from '../wish-grammar.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 120_000 });

interface Case {
  readonly grammar: string;
  readonly accepted: readonly string[];
  readonly refused: readonly string[];
}

/** What Lark itself says of the texts (make_sentences.py beside it). */
const CASES = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../test/golden/lark/grammars.json'), 'utf8'),
) as readonly Case[];

const grammarOf = (grammar: string): string => wishGrammar({ kind: 'grammar', grammar });

describe('a grammar in Lark', () => {
  it.each(CASES)('accepts what Lark does: $grammar', async ({ grammar, accepted, refused }) => {
    const verdicts = await acceptedOf(grammarOf(grammar), [...accepted, ...refused]);
    expect(accepted.filter((_, i) => !verdicts[i])).toEqual([]);
    expect(refused.filter((_, i) => verdicts[accepted.length + i])).toEqual([]);
  });

  it('begins with its first rule where none is called start, as in vLLM', async () => {
    expect(await acceptedOf(grammarOf('answer: yes | "no"\nyes: "yes"'), ['yes', 'no', 'maybe'])).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('goes into a structural tag', async () => {
    const format = { type: 'grammar', grammar: 'start: "x"+' } as const;
    const grammar = wishGrammar({ kind: 'structural_tag', format });
    expect(await acceptedOf(grammar, ['xx', ''])).toEqual([true, false]);
  });

  it.each([
    ['start: "a"\n%ignore " "', 'line 2: %ignore is not supported'],
    ['start: WS\n%import common.WS\n%declare X', 'line 3: %declare is not supported'],
    ['%import python.NAME\nstart: NAME', 'line 1: %import python.NAME: only common.NAME can be imported'],
    ['%import common.NOPE\nstart: NOPE', 'line 1: %import common.NOPE: there is no such terminal'],
    ['%import .other.X\nstart: X', 'line 1: %import .other.X: only common.NAME'],
    ['%override start: "a"', 'line 1: %override is not supported'],
    ['start: list{"a"}\nlist{x}: x+', 'line 1: the template "list" is not supported'],
    ['list{x}: x+\nstart: "a"', 'line 1: the template "list" is not supported'],
    ['start: a\n\nb: "x"', 'line 1: "a" is not defined'],
    ['start: "a"\nstart: "b"', 'line 2: "start" is defined twice'],
    ['start: X\nX: "a" start', 'line 2: the terminal X holds the rule "start"'],
    ['start: "a', 'line 1: a text does not end'],
    ['start: /a', 'line 1: a pattern does not end'],
    ['start: ("a"', 'line 1: expected ")"'],
    ['start: "a")', 'line 1: unexpected ")"'],
    ['start: "a" ~ 3..2', 'line 1: a repetition has its bounds in the wrong order'],
    ['start: "a"~99999', 'line 1: more than 10000 repetitions'],
    ['start: "ab".."z"', 'line 1: a range needs one character on both sides'],
    ['start: "z".."a"', 'line 1: a range has its bounds in the wrong order'],
    ['start: A\nA: /x*?/', 'line 2: the repetition "*?" cannot be enforced'],
    ['start: A\nA: /(?=x)y/', 'line 2: the group "(?=x" cannot be enforced'],
    ['start: A\nA: /(?<!x)y/', 'line 2: the group "(?<!" cannot be enforced'],
    ['start: A\nA: /^x$/', 'line 2: "^" in a pattern cannot be enforced'],
    ['start: A\nA: /(x)\\1/', 'line 2: "\\1" in a pattern cannot be enforced'],
    ['start: A\nA: /\\bx/', 'line 2: "\\b" in a pattern cannot be enforced'],
    ['start: A\nA: /x/m', 'line 2: the flag "m" of a pattern cannot be enforced'],
    ['start: A\nA: /*/x', 'line 2:'],
    ['start: A\nA: /[z-a]/', 'line 2:'],
    ['start: A\nA: /(x/', 'line 2:'],
    ['start: "\\ud800"', 'line 1: a text is not well-formed Unicode'],
    ['start: start "x"', 'no value satisfies'],
    ['start: "a"\n = "b"', 'line 2: expected a rule'],
    [`start: ${'('.repeat(1000)}"a"${')'.repeat(1000)}`, 'nested too deeply'],
  ])('is refused with line and construct: %j', (grammar, message) => {
    expect(() => grammarOf(grammar)).toThrow(message);
  });

  it('is told from EBNF by its rules', () => {
    expect(() => grammarOf('start = "a"')).toThrow(/expected "::="/);
    expect(grammarOf('root ::= "start: a"')).toContain('start: a');
    expect(() => grammarOf('start: "::=" end')).toThrow('"end" is not defined');
  });
});
