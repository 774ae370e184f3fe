import { afterEach, describe, expect, it, vi } from 'vitest';
import { wishGrammar } from '../wish-grammar.js';
import { GrammarThread, type GrammarThreadOptions } from './grammar-thread.js';
import { isAllowed, maskIn, maskSlots } from './mask-slots.js';
import { vocabularyOf } from './vocabulary.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 300_000 });

const text = (value: string) => Uint8Array.from(Buffer.from(value));
const STRINGS = [
  'a',
  'b',
  'ab',
  'ba',
  'c',
  '1',
  '12',
  '"',
  '",',
  '{"',
  '}',
  ':',
  ' ',
  'é',
  '€x',
  '😀',
  '"}',
  '0.5',
  '-',
];
const PIECES = [
  ...STRINGS.map(text),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xa9),
  Uint8Array.of(0xe2, 0x82),
  Uint8Array.of(0xff),
];
const CONTROL = PIECES.length;
const STOP = CONTROL + 1;
/** A model's logits are often more than its tokens. */
const SIZE = STOP + 40;
const vocabulary = vocabularyOf([...PIECES, undefined, text('</s>')], SIZE, [STOP]);
const token = (piece: string) => STRINGS.indexOf(piece);

const open: GrammarThread[] = [];
function startThread(options: Partial<GrammarThreadOptions> = {}): GrammarThread {
  const thread = new GrammarThread({
    vocabulary,
    slots: maskSlots(4, SIZE),
    compileTimeout_ms: 15_000,
    memoryBytes: 256 * 2 ** 20,
    cacheBytes: 64 * 2 ** 20,
    ...options,
  });
  open.push(thread);
  return thread;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((thread) => thread.close()));
});

/** Handled from the start, so that it may fail while something else is awaited. */
const faultOf = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);
const schemaGrammar = (schema: unknown) => wishGrammar({ kind: 'json_schema', schema });
const regexGrammar = (pattern: string) => wishGrammar({ kind: 'regex', pattern });
const allowedIn = (thread: GrammarThread, slot: number): number[] => {
  const mask = maskIn(thread.slots, slot);
  return Array.from({ length: mask.length * 32 }, (_, i) => i).filter((each) => isAllowed(mask, each));
};

describe('the grammar thread', () => {
  it('writes the mask of the next token, then its number', async () => {
    const thread = startThread();
    const id = await thread.begin(regexGrammar('(ab|c)+1?'));
    expect(await thread.advance(id, [], { slot: 2, number: 1 })).toEqual({ accepted: 0, ended: false });
    expect(Atomics.load(thread.slots.numbers, 2)).toBe(1);
    expect(allowedIn(thread, 2)).toEqual([token('a'), token('ab'), token('c')].sort((a, b) => a - b));
    await thread.advance(id, [token('ab')], { slot: 2, number: 2 });
    expect(allowedIn(thread, 2)).toEqual(
      [token('a'), token('ab'), token('c'), token('1'), STOP].sort((a, b) => a - b),
    );
    expect(await thread.advance(id, [token('1'), STOP], { slot: 2, number: 3 })).toEqual({
      accepted: 2,
      ended: true,
    });
    expect(allowedIn(thread, 2)).toEqual([]);
  });

  it('says by a negative number that tokens do not fit, and how many did', async () => {
    const thread = startThread();
    const id = await thread.begin(regexGrammar('abc'));
    const outcome = await thread.advance(id, [token('ab'), token('b')], { slot: 0, number: 7 });
    expect(outcome).toEqual({ accepted: 1, ended: false });
    expect(Atomics.load(thread.slots.numbers, 0)).toBe(-7);
    await thread.advance(id, [token('c')], { slot: 0, number: 8 });
    expect(allowedIn(thread, 0)).toEqual([STOP]);
  });

  it('takes guesses back, and forks', async () => {
    const thread = startThread();
    const id = await thread.begin(regexGrammar('a(ba|12)c'));
    await thread.advance(id, [token('a'), token('ba')]);
    await thread.rollback(id, 1, { slot: 0, number: 1 });
    expect(allowedIn(thread, 0)).toEqual([token('b'), token('ba'), token('1'), token('12')]);
    const other = await thread.fork(id);
    await Promise.all([
      thread.advance(id, [token('12')], { slot: 0, number: 2 }),
      thread.advance(other, [token('b')], { slot: 1, number: 1 }),
    ]);
    expect([allowedIn(thread, 0), allowedIn(thread, 1)]).toEqual([[token('c')], [token('a')]]);
    thread.end(id);
    await thread.advance(other, [token('a')], { slot: 1, number: 2 });
    expect(allowedIn(thread, 1)).toEqual([token('c')]);
    await expect((async () => thread.advance(id, []))()).rejects.toThrow(/no matcher/);
  });

  it('writes the masks behind guesses and stays where it was', async () => {
    const thread = startThread();
    const id = await thread.begin(regexGrammar('a(ba|12)c'));
    await thread.advance(id, [token('a')], { slot: 0, number: 1 });
    const places = [1, 2, 3].map((slot) => ({ slot, number: 5 }));
    await thread.guess(id, [token('b'), token('b'), token('a')], places);
    expect([1, 2, 3].map((slot) => Atomics.load(thread.slots.numbers, slot))).toEqual([5, -5, -5]);
    expect(allowedIn(thread, 1)).toEqual([token('a')]);
    expect(allowedIn(thread, 2)).toEqual([]);
    await thread.guess(
      id,
      [token('12'), token('c'), STOP],
      places.map(({ slot }) => ({ slot, number: 6 })),
    );
    expect([1, 2, 3].map((slot) => Atomics.load(thread.slots.numbers, slot))).toEqual([6, 6, -6]);
    expect(allowedIn(thread, 2)).toEqual([STOP]);
    await thread.advance(id, [token('ba')], { slot: 0, number: 2 });
    expect(allowedIn(thread, 0)).toEqual([token('c')]);
  });

  it.each([
    ['a pattern', regexGrammar('[ab]*é|(a|😀)*12|€?x')],
    ['a string', schemaGrammar({ type: 'string', maxLength: 3 })],
    [
      'an object',
      schemaGrammar({ type: 'object', properties: { a: { type: 'number', minimum: 0.5 }, é: {} } }),
    ],
    ['a grammar', wishGrammar({ kind: 'grammar', grammar: 'root ::= "a" root "b" | [^a1]{1,2}' })],
  ])('allows a token if and only if some answer goes on so: %s', async (_, grammar) => {
    const thread = startThread();
    // What the thread accepts byte by byte says what a prefix is: tokens of several bytes must agree.
    const bytes = vocabularyOf(
      [...Array.from({ length: 256 }, (_, b) => Uint8Array.of(b)), undefined],
      257,
      [256],
    );
    const judge = startThread({ vocabulary: bytes });
    const judgeId = await judge.begin(grammar);
    const isPrefix = async (next: readonly number[]) => {
      const { accepted } = await judge.advance(judgeId, next);
      await judge.rollback(judgeId, accepted);
      return accepted === next.length;
    };
    const id = await thread.begin(grammar);
    for (let step = 1; step <= 8; step++) {
      await thread.advance(id, [], { slot: 0, number: step });
      const allowed = allowedIn(thread, 0);
      const expected: number[] = [];
      for (const [piece, own] of PIECES.entries()) if (await isPrefix([...own])) expected.push(piece);
      if (await isPrefix([256])) expected.push(STOP);
      expect(allowed).toEqual(expected);
      const next = allowed.filter((each) => each !== STOP)[(step * 7) % Math.max(1, allowed.length - 1)];
      if (next === undefined) return;
      await thread.advance(id, [next]);
      await judge.advance(judgeId, [...(PIECES[next] as Uint8Array)]);
    }
  });

  it('allows the ends of an answer where stop tokens are allowed, and only there', async () => {
    const thread = startThread();
    const id = await thread.begin(regexGrammar('a+b?'), { ends: [token('b'), CONTROL] });
    await thread.advance(id, [], { slot: 0, number: 1 });
    expect(allowedIn(thread, 0)).toEqual([token('a'), token('ab')]);
    await thread.advance(id, [token('a')], { slot: 0, number: 2 });
    expect(allowedIn(thread, 0)).toEqual([token('a'), token('b'), token('ab'), CONTROL, STOP]);
    await thread.advance(id, [token('ab')], { slot: 0, number: 3 });
    expect(allowedIn(thread, 0)).toEqual([token('b'), CONTROL, STOP]);
  });

  it('translates wishes, and says what is wrong with them', async () => {
    const thread = startThread();
    const grammar = await thread.translate({ kind: 'choice', choices: ['a', 'b'] });
    expect(grammar).toBe(wishGrammar({ kind: 'choice', choices: ['a', 'b'] }));
    const wish = { kind: 'json_schema', schema: { properties: { a: { not: { const: 1 } } } } } as const;
    await expect(thread.translate(wish)).rejects.toMatchObject({
      fault: 'unsupported',
      keyword: 'not',
      pointer: '/properties/a',
    });
  });

  it('survives a grammar that the library aborts on: others go on where they were', async () => {
    const thread = startThread();
    const id = await thread.begin(regexGrammar('a(ba|12)c'));
    await thread.advance(id, [token('a'), token('b')]);
    const broken = faultOf(thread.begin('root ::= ('));
    const pending = thread.advance(id, [token('a')], { slot: 0, number: 1 });
    expect(await broken).toMatchObject({ fault: 'invalid' });
    expect(await pending).toEqual({ accepted: 1, ended: false });
    expect(Atomics.load(thread.slots.numbers, 0)).toBe(1);
    expect(allowedIn(thread, 0)).toEqual([token('c')]);
    await expect(thread.compile('nothing ::= "a"')).rejects.toMatchObject({ fault: 'invalid' });
    await thread.rollback(id, 2, { slot: 0, number: 2 });
    expect(allowedIn(thread, 0)).toEqual([token('b'), token('ba'), token('1'), token('12')]);
  });

  it('ends a compilation that takes too long', async () => {
    const thread = startThread({ compileTimeout_ms: 1 });
    const slow = wishGrammar({ kind: 'json_schema', schema: { type: 'string', maxLength: 64 } });
    await expect(thread.compile(slow)).rejects.toMatchObject({ fault: 'too_slow' });
  });

  it('ends a compilation that needs too much memory', async () => {
    const thread = startThread({ memoryBytes: 17 * 2 ** 20 });
    const large = wishGrammar({
      kind: 'choice',
      choices: Array.from({ length: 4000 }, (_, i) => `${'a'.repeat(20)}${i}b`),
    });
    await expect(thread.compile(large)).rejects.toMatchObject({ fault: 'too_large' });
  });

  it('drops grammars that nobody uses when there are too many, and compiles them again', async () => {
    const thread = startThread({ cacheBytes: 1 });
    const id = await thread.begin(regexGrammar('ab'));
    for (const pattern of ['a', 'b', 'c', 'ab']) await thread.compile(regexGrammar(pattern));
    await thread.advance(id, [token('a')], { slot: 0, number: 1 });
    expect(allowedIn(thread, 0)).toEqual([token('b')]);
    const again = await thread.begin(regexGrammar('a'));
    await thread.advance(again, [], { slot: 1, number: 1 });
    expect(allowedIn(thread, 1)).toEqual([token('a')]);
  });

  it('refuses all that is pending when it is closed', async () => {
    const thread = startThread();
    const refused = faultOf(thread.begin(regexGrammar('a')));
    await thread.close();
    expect(await refused).toMatchObject({ fault: 'internal' });
    await expect(thread.begin(regexGrammar('a'))).rejects.toThrow(/closed/);
  });
});
