import type { BaseModel } from '#contracts/base-model.js';
import { AppError } from '#runtime/app-error.js';
import type { GenerationPlan } from './generation-plan.js';

/**
 * Refuses prompts that cannot fit before they are sent anywhere: token ids by their number, text where its length alone
 * decides. What a chat's template makes of its messages only the engine knows.
 */
export function checkPromptLengths(
  { sequences }: GenerationPlan,
  { maxContext, longestToken }: Pick<BaseModel, 'maxContext' | 'longestToken'>,
  tenantsMaxContext: number | undefined,
): void {
  const most = Math.min(maxContext, tenantsMaxContext ?? maxContext);
  let checked: unknown;
  for (const { request } of sequences) {
    const { input, maxTokens, keepPromptTokens } = request;
    if (input === checked || keepPromptTokens !== undefined) continue;
    checked = input;
    if (input.kind === 'tokens') {
      const room = most - input.tokens.length;
      if (room > 0 || (room === 0 && maxTokens === 0)) continue;
      throw tooLong(
        `The prompt has ${input.tokens.length} tokens, but prompt and completion may have ${most} in all.`,
      );
    }
    // Every message is at least one token.
    if (input.kind === 'chat' && input.messageCount > most) {
      throw tooLong(
        `The chat has ${input.messageCount} messages; that cannot fit the ${most} tokens of the model's context.`,
      );
    }
    const characters = input.kind === 'text' ? input.text.length + (input.suffix?.length ?? 0) : 0;
    if (longestToken !== undefined && characters > most * longestToken) {
      throw tooLong(
        `The prompt has ${characters} characters, which are more than the ${most} tokens that prompt and completion may have in all.`,
      );
    }
  }
}

function tooLong(message: string): AppError {
  return new AppError('context_length_exceeded', { message, param: 'prompt' });
}
