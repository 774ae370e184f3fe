import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';
import { StructureError } from '../errors.js';
import { allow, isAllowed, type MaskSlots, maskIn, publish } from './mask-slots.js';
import type { Advance, Beginning, GrammarWorkerData, MaskPlace } from './protocol.js';
import { byteLevelNames, type Vocabulary } from './vocabulary.js';
import type { Xgrammar } from './xgrammar.js';

interface Compiled {
  readonly compiled: CompiledGrammar;
  /** An estimate of its size. */
  readonly bytes: number;
  users: number;
}

interface Matcher {
  readonly matcher: GrammarMatcher;
  readonly beginning: Beginning;
  /** As a mask: what may be drawn whatever the grammar allows. */
  readonly only: Int32Array | undefined;
}

/** The grammars and matchers of one vocabulary, in the library's memory. */
export class Matchers {
  /** By the grammar's text, in the order of last use. */
  readonly #compiled = new Map<string, Compiled>();
  readonly #matchers = new Map<number, Matcher>();
  #cachedBytes = 0;

  private constructor(
    private readonly xgrammar: Xgrammar,
    private readonly compiler: GrammarCompiler,
    private readonly slots: MaskSlots,
    private readonly cacheBytes: number,
    private readonly vocabulary: Vocabulary,
  ) {}

  static async open(xgrammar: Xgrammar, data: GrammarWorkerData): Promise<Matchers> {
    const { vocabulary, slots, cacheBytes } = data;
    const tokenizer = await xgrammar.TokenizerInfo.createTokenizerInfo(
      byteLevelNames(vocabulary),
      'byte_level',
      false,
      vocabulary.size,
      [...vocabulary.stopTokens],
    );
    const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(tokenizer, false);
    return new Matchers(xgrammar, compiler, slots, cacheBytes, vocabulary);
  }

  async compile(grammar: string): Promise<Compiled> {
    const known = this.#compiled.get(grammar);
    if (known !== undefined) {
      this.#compiled.delete(grammar);
      this.#compiled.set(grammar, known);
      return known;
    }
    const compiled = await this.compiler.compileGrammar(grammar);
    const made = { compiled, bytes: estimatedBytes(grammar, this.vocabulary.size / 8), users: 0 };
    this.#compiled.set(grammar, made);
    this.#cachedBytes += made.bytes;
    this.#evict(made);
    return made;
  }

  /** Compiles a grammar that nobody uses. */
  async tryOut(grammar: string): Promise<void> {
    (await this.compiler.compileGrammar(grammar)).dispose();
  }

  async begin(id: number, beginning: Beginning, tokens: readonly number[]): Promise<void> {
    const compiled = await this.compile(beginning.grammar);
    const matcher = await this.xgrammar.GrammarMatcher.createGrammarMatcher(compiled.compiled);
    compiled.users++;
    this.#matchers.set(id, { matcher, beginning, only: this.#maskOf(beginning.only) });
    for (const token of tokens)
      if (!matcher.acceptToken(token))
        throw new StructureError('internal', 'tokens that fitted do not fit again');
  }

  async advance(id: number, tokens: readonly number[], place: MaskPlace | undefined): Promise<Advance> {
    const own = this.#of(id);
    const { matcher } = own;
    let accepted = 0;
    for (const token of tokens) {
      if (matcher.isTerminated() || !matcher.acceptToken(token)) break;
      accepted++;
    }
    if (place !== undefined) await this.#write(own, place, accepted === tokens.length);
    return { accepted, ended: matcher.isTerminated() };
  }

  /** Writes the masks behind guessed tokens; behind the first that does not fit, or that ends the answer, are none. */
  async guess(id: number, tokens: readonly number[], places: readonly MaskPlace[]): Promise<void> {
    const own = this.#of(id);
    const { matcher } = own;
    let accepted = 0;
    for (const [i, place] of places.entries()) {
      const token = tokens[i] as number;
      const fits =
        accepted === i && !this.vocabulary.stopTokens.includes(token) && matcher.acceptToken(token);
      if (fits) accepted++;
      await this.#write(own, place, fits);
    }
    if (accepted > 0) matcher.rollBack(accepted);
  }

  async rollback(id: number, count: number, place: MaskPlace | undefined): Promise<void> {
    const own = this.#of(id);
    own.matcher.rollBack(count);
    if (place !== undefined) await this.#write(own, place, true);
  }

  end(id: number): void {
    const found = this.#matchers.get(id);
    if (found === undefined) return;
    found.matcher.dispose();
    this.#matchers.delete(id);
    const compiled = this.#compiled.get(found.beginning.grammar);
    if (compiled !== undefined) compiled.users--;
    this.#evict();
  }

  #of(id: number): Matcher {
    const found = this.#matchers.get(id);
    if (found === undefined) throw new StructureError('internal', `there is no matcher ${id}`);
    return found;
  }

  async #write(
    { matcher, beginning, only }: Matcher,
    { slot, number }: MaskPlace,
    fits: boolean,
  ): Promise<void> {
    const mask = maskIn(this.slots, slot);
    // Behind a stop token the library has no mask.
    if (!fits || matcher.isTerminated()) mask.fill(0);
    else {
      mask.set(await matcher.getNextTokenBitmask());
      this.#allowEnds(mask, beginning.ends ?? []);
      for (const [i, word] of only?.entries() ?? []) mask[i] = (mask[i] as number) & word;
    }
    publish(this.slots, slot, fits ? number : -number);
  }

  #maskOf(tokens: readonly number[] | undefined): Int32Array | undefined {
    if (tokens === undefined) return undefined;
    const mask = new Int32Array(this.slots.words);
    for (const token of tokens) allow(mask, token, true);
    return mask;
  }

  #allowEnds(mask: Int32Array, ends: readonly number[]): void {
    const mayEnd = this.vocabulary.stopTokens.some((token) => isAllowed(mask, token));
    for (const token of ends) allow(mask, token, mayEnd);
  }

  /** Those that no matcher uses, longest unused first, until the rest is small enough. */
  #evict(kept?: Compiled): void {
    for (const [grammar, each] of this.#compiled) {
      if (this.#cachedBytes <= this.cacheBytes) return;
      if (each.users > 0 || each === kept) continue;
      each.compiled.dispose();
      this.#compiled.delete(grammar);
      this.#cachedBytes -= each.bytes;
    }
  }
}

/**
 * Each place of the grammar that reads a byte has a mask of its own: a list of the tokens that it allows, or of those that it does
 * not, or bits. Most are far smaller than bits.
 */
function estimatedBytes(grammar: string, maskBytes: number): number {
  const places = grammar.split('[').length;
  return grammar.length * 8 + places * (maskBytes / 4);
}
