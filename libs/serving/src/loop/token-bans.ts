import type { GenerateRequest } from '#contracts/engine-protocol.js';

const BANNED = Number.NEGATIVE_INFINITY;

export interface BanOptions {
  readonly logitBias: GenerateRequest['sampling']['logitBias'];
  /** Token sequences that must never be drawn in a row. */
  readonly badWords: readonly (readonly number[])[];
}

/** What a request adds to its logits before a draw: its biases, and minus infinity for what must not be drawn. */
export class TokenBans {
  /** The same at every draw. */
  readonly #tokens: Int32Array;
  readonly #values: Float32Array;
  /** Bad words of several tokens: the last is banned where the others have just been drawn. */
  readonly #phrases: readonly (readonly number[])[];

  constructor({ logitBias, badWords }: BanOptions) {
    const banned = new Set(badWords.filter(({ length }) => length === 1).map(([token]) => token as number));
    this.#tokens = Int32Array.from([...logitBias.map(({ token }) => token), ...banned]);
    this.#values = new Float32Array(this.#tokens.length).fill(BANNED);
    this.#values.set(logitBias.map(({ bias }) => bias));
    this.#phrases = badWords.filter(({ length }) => length > 1);
  }

  /** Entries that one draw adds at most. */
  get size(): number {
    return this.#tokens.length + this.#phrases.length;
  }

  /** Writes what holds after the generated tokens and then the `drafted` ones; returns where the entries end. */
  copyTo(
    plan: { readonly biasToken: Int32Array; readonly biasValue: Float32Array },
    begin: number,
    { generated, drafted }: { readonly generated: Int32Array; readonly drafted: readonly number[] },
  ): number {
    plan.biasToken.set(this.#tokens, begin);
    plan.biasValue.set(this.#values, begin);
    let at = begin + this.#tokens.length;
    const known = generated.length + drafted.length;
    const tokenAt = (index: number): number | undefined =>
      index < generated.length ? generated[index] : drafted[index - generated.length];
    for (const phrase of this.#phrases) {
      const first = known - (phrase.length - 1);
      if (first < 0) continue;
      const last = phrase.length - 1;
      if (!phrase.every((token, i) => i === last || tokenAt(first + i) === token)) continue;
      plan.biasToken[at] = phrase[last] as number;
      plan.biasValue[at++] = BANNED;
    }
    return at;
  }

  /** Tokens that must not be drawn behind the generated ones. */
  bannedAfter(generated: Int32Array): ReadonlySet<number> {
    const plan = { biasToken: new Int32Array(this.size), biasValue: new Float32Array(this.size) };
    const end = this.copyTo(plan, 0, { generated, drafted: [] });
    return new Set(plan.biasToken.subarray(0, end).filter((_, i) => plan.biasValue[i] === BANNED));
  }

  /** Whether one of the allowed tokens may be drawn although `others` must not be. */
  leavesOneOf(allowed: readonly number[], others: readonly number[]): boolean {
    const banned = new Set(others);
    for (const [i, token] of this.#tokens.entries()) if (this.#values[i] === BANNED) banned.add(token);
    return allowed.some((token) => !banned.has(token));
  }
}

/**
 * The token sequences of bad words, as in vLLM: each alone, and after a space where that makes another first token and as
 * many tokens.
 */
export async function badWordTokens(
  words: readonly string[],
  encode: (text: string) => Promise<readonly number[]>,
): Promise<number[][]> {
  const sequences: number[][] = [];
  for (const word of words) {
    const [alone, spaced] = await Promise.all([encode(word.trimStart()), encode(` ${word.trimStart()}`)]);
    if (alone.length > 0) sequences.push([...alone]);
    if (spaced.length === alone.length && spaced[0] !== alone[0]) sequences.push([...spaced]);
  }
  return sequences;
}
