import { expect, it } from 'vitest';
import { type CompletionRequest, CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { planCompletion } from './completion-plan.js';
import { checkPromptLengths } from './prompt-length.js';
import { tokenNeed } from './token-need.js';

const plan = (prompt: string, suffix: string) =>
  planCompletion(
    CompletionRequestSchema.parse({ model: 'm', prompt, suffix, max_tokens: 1 }) as CompletionRequest,
  );

it('counts for the limits as the prompt does', () => {
  const { sequences } = plan('x'.repeat(40), 'y'.repeat(400));
  expect(tokenNeed(sequences, 1_000).tokens).toBe(110 + 1);
  const limits = { maxContext: 20, longestToken: 10 };
  expect(() => checkPromptLengths(plan('x'.repeat(40), ''), limits, undefined)).not.toThrow();
  expect(() => checkPromptLengths(plan('x'.repeat(40), 'y'.repeat(400)), limits, undefined)).toThrow(
    /440 characters/,
  );
});
