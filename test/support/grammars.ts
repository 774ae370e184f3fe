import { loadXgrammar, type Xgrammar } from '#grammar/thread/xgrammar.js';

/** What the automaton library says of grammars, without our thread around it. */

let loaded: Xgrammar | undefined;

function xgrammar(): Xgrammar {
  loaded ??= loadXgrammar();
  return loaded;
}

/** Which of `texts` the grammar accepts as a whole. */
export async function acceptedOf(grammar: string, texts: readonly string[]): Promise<boolean[]> {
  const { GrammarCompiler, GrammarMatcher, TokenizerInfo } = xgrammar();
  const tokenizer = await TokenizerInfo.createTokenizerInfo([]);
  const compiler = await GrammarCompiler.createGrammarCompiler(tokenizer, false);
  const compiled = await compiler.compileGrammar(grammar);
  const matcher = await GrammarMatcher.createGrammarMatcher(compiled, undefined, true);
  const accepted = texts.map((text) => {
    matcher.reset();
    const accept = Reflect.get(matcher, '_acceptString') as (text: string) => boolean;
    return accept.call(matcher, text) && matcher.isTerminated();
  });
  for (const each of [matcher, compiled, compiler, tokenizer]) each.dispose();
  return accepted;
}

/** Every byte, some tokens of several, and a stop token at the end. */
export const WALK_TOKENS: readonly Uint8Array[] = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...[
    '": "',
    '", "',
    '{"',
    '"}',
    ']}',
    ': ',
    ', ',
    'true',
    'null',
    '12',
    '0.',
    'é',
    '😀',
    '\\u00',
    'abc',
  ].map((text) => Uint8Array.from(Buffer.from(text))),
];
export const WALK_STOP = WALK_TOKENS.length;

/**
 * Random walks through the masks: each takes one of the allowed tokens until the stop token. `marks` are tokens too; one
 * that is allowed soon comes.
 */
export async function randomTexts(
  grammar: string,
  count: number,
  random: (below: number) => number,
  marks: readonly string[] = [],
): Promise<Buffer[]> {
  const { GrammarCompiler, GrammarMatcher, TokenizerInfo } = xgrammar();
  const all = [...WALK_TOKENS, Uint8Array.of(), ...marks.map((mark) => Buffer.from(mark))];
  const names = all.map((bytes, token) => (token === WALK_STOP ? '</s>' : byteLevelToken(bytes)));
  const tokenizer = await TokenizerInfo.createTokenizerInfo(names, 'byte_level', false, names.length, [
    WALK_STOP,
  ]);
  const compiler = await GrammarCompiler.createGrammarCompiler(tokenizer, false);
  const compiled = await compiler.compileGrammar(grammar);
  const texts: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const matcher = await GrammarMatcher.createGrammarMatcher(compiled);
    const tokens: number[] = [];
    while (!matcher.isTerminated()) {
      const token = nextToken(
        allowedTokens(await matcher.getNextTokenBitmask(), all.length),
        tokens.length,
        random,
      );
      if (!matcher.acceptToken(token)) throw new Error(`the mask allows ${token}, the matcher does not`);
      if (token !== WALK_STOP) tokens.push(token);
      if (tokens.length > 5_000) throw new Error('the walk does not end');
    }
    matcher.dispose();
    texts.push(Buffer.concat(tokens.map((token) => all[token] as Uint8Array)));
  }
  for (const each of [compiled, compiler, tokenizer]) each.dispose();
  return texts;
}

function allowedTokens(mask: Int32Array, size: number): number[] {
  const allowed: number[] = [];
  for (let token = 0; token < size; token++)
    if (((mask[token >> 5] as number) >> (token & 31)) & 1) allowed.push(token);
  return allowed;
}

const CLOSERS = [WALK_STOP, ...Buffer.from('"}]0')];

/** Any of them; from some length on one that closes what is open, so that the walk ends. */
function nextToken(allowed: readonly number[], length: number, random: (below: number) => number): number {
  if (allowed.length === 0) throw new Error('the mask allows nothing');
  const marks = allowed.filter((token) => token > WALK_STOP);
  const closers = [...marks, ...CLOSERS.filter((token) => allowed.includes(token)).slice(0, 1)];
  const closer = closers.length > 1 ? closers[random(closers.length)] : closers[0];
  if (closer !== undefined && random(length > 120 ? 2 : 12) === 0) return closer;
  return allowed[random(allowed.length)] as number;
}

/** In the alphabet of byte-level tokenizers, where each byte is one printable character. */
export function byteLevelToken(bytes: Uint8Array): string {
  return [...bytes].map((byte) => BYTE_LETTERS[byte]).join('');
}

const BYTE_LETTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    return String.fromCodePoint(printable ? byte : next++);
  });
})();
