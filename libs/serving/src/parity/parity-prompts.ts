import { lastInvocation } from '../residency/invocation.js';
import type { Tokenizer } from '../text/tokenizer.js';

/** Prompts as a user may send them; the same for every adapter, so that results can be compared. */
const TEXTS = [
  'The order was placed on Tuesday, 4 March; please answer in one short and friendly sentence: when will it arrive?',
  'SELECT name, SUM(total) FROM orders WHERE status = "paid" GROUP BY name; {"items": [{"id": 17, "price": 3.5}]}',
] as const;
/** Tokens that no text would put side by side: they reach rows of the table and the head that texts leave out. */
const RANDOM_PROMPTS = 2;
const PROMPT_TOKENS = 24;
const GENERATED_TOKENS = 8;

export interface ParityPrompts {
  readonly prompts: readonly (readonly number[])[];
  /** Tokens to generate after each, one per step. */
  readonly generate: number;
}

export interface PromptSource {
  readonly tokenizer: Pick<Tokenizer, 'encode'>;
  readonly vocabSize: number;
  readonly maxContext: number;
  /** Tokens whose rows the adapter replaces: some stand in the random prompts. */
  readonly ownTokens: readonly number[];
  /** What each prompt begins with and holds nowhere else; empty: nothing. */
  readonly invocation?: readonly number[] | undefined;
}

export async function parityPrompts(source: PromptSource): Promise<ParityPrompts> {
  const { tokenizer, vocabSize, maxContext: context, ownTokens, invocation = [] } = source;
  const maxContext = context - invocation.length;
  const generate = Math.min(GENERATED_TOKENS, Math.floor(maxContext / 4));
  const length = Math.min(PROMPT_TOKENS, maxContext - generate);
  const prompts: number[][] = [];
  for (const text of TEXTS) {
    const { ids } = await tokenizer.encode(text, true);
    const known = [...ids].filter((id) => id < vocabSize).slice(0, length);
    prompts.push(known.length > 1 ? known : randomTokens(length, vocabSize, prompts.length));
  }
  for (let i = 0; i < RANDOM_PROMPTS; i++) {
    const tokens = randomTokens(length, vocabSize, TEXTS.length + i);
    const own = ownTokens.slice(0, Math.floor(length / 2));
    for (const [at, token] of own.entries()) tokens[2 * at + i] = token;
    prompts.push(tokens.slice(0, length));
  }
  return { prompts: prompts.map((prompt) => invokedOnce([...invocation, ...prompt], invocation)), generate };
}

/** Only where an activated LoRA acts from the first token on does it compute what its weights, merged, do. */
function invokedOnce(prompt: readonly number[], invocation: readonly number[]): readonly number[] {
  if (invocation.length === 0) return prompt;
  const last = lastInvocation(prompt, invocation) ?? 0;
  return last === 0 ? prompt : invokedOnce(prompt.toSpliced(last + invocation.length - 1, 1), invocation);
}

/** Numerical Recipes' linear congruential generator; its upper bits choose. */
function randomTokens(count: number, vocabSize: number, seed: number): number[] {
  let state = (seed + 1) * 2_654_435_769;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * vocabSize);
  });
}
