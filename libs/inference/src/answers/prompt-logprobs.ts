import type { GenerateEvent, TokenChoice } from '#contracts/engine-protocol.js';
import type { PromptLogprobs } from '#contracts/openai/usage.js';

type PromptEvent = Extract<GenerateEvent, { type: 'prompt' }>;

/** vLLM's `prompt_logprobs`: for each token of the prompt its own and the `count` most likely ones, by id. */
export function promptLogprobs({ tokens }: PromptEvent, count: number): PromptLogprobs {
  return tokens.map(({ id, text, logprob, top }) => {
    if (logprob === null) return null; // the first token has nothing before it
    const rank = top.findIndex((choice) => choice.id === id) + 1;
    const likely = top.slice(0, count).map((choice, at) => [choice.id, entry(choice, at + 1)] as const);
    return Object.fromEntries([...likely, [id, entry({ text, logprob }, rank === 0 ? null : rank)]]);
  });
}

function entry({ text, logprob }: Pick<TokenChoice, 'text' | 'logprob'>, rank: number | null) {
  return { logprob, rank, decoded_token: text };
}
