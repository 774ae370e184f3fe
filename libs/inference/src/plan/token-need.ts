import type { GenerateRequest } from '#contracts/engine-protocol.js';
import type { Sequence } from './generation-plan.js';

export interface TokenNeed {
  /** Prompt and completion tokens that the request may use. */
  readonly tokens: number;
  /** Whether the request itself says how many tokens it may generate. */
  readonly stated: boolean;
}

/** Tokenizers make about one token of four bytes of English; only the engine knows, and tells in the end. */
const BYTES_PER_TOKEN = 4;
/** Kept for a request that may go on to the end of the context: few do. */
const UNSTATED_COMPLETION_TOKENS = 1_024;

/** What a request may use, before its prompt is tokenized. A prompt counts once, however many alternatives it has. */
export function tokenNeed(sequences: readonly Sequence[], maxContext: number): TokenNeed {
  const prompts = new Map<number, number>();
  let completionTokens = 0;
  for (const { prompt, request } of sequences) {
    const promptTokens = Math.min(prompts.get(prompt) ?? promptEstimate(request), maxContext);
    prompts.set(prompt, promptTokens);
    const wanted = request.maxTokens ?? UNSTATED_COMPLETION_TOKENS;
    completionTokens += Math.min(wanted, maxContext - promptTokens);
  }
  const promptTokens = [...prompts.values()].reduce((sum, tokens) => sum + tokens, 0);
  return {
    tokens: promptTokens + completionTokens,
    stated: sequences.every(({ request }) => request.maxTokens !== undefined),
  };
}

function promptEstimate({ input, keepPromptTokens }: Sequence['request']): number {
  const kept = typeof keepPromptTokens === 'number' ? keepPromptTokens : Number.POSITIVE_INFINITY;
  return Math.min(inputEstimate(input), kept);
}

function inputEstimate(input: GenerateRequest['input']): number {
  if (input.kind === 'tokens') return input.tokens.length;
  if (input.kind === 'text') return tokensOf(input.text + (input.suffix ?? ''));
  // Its JSON is longer than the text by about what a template adds.
  return tokensOf(input.conversation);
}

function tokensOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}
