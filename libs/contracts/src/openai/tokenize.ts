import { z } from 'zod';
import { MOST, onlyKnown } from './bounded.js';
import { chatInputFields, checkChatInput } from './chat-request.js';
import { answerFields, tokenIds } from './generation-fields.js';

/* vLLM's /tokenize and /detokenize. */

const model = answerFields.model.nullish().describe('The base model when absent');

/** Of a text, or of a chat as its template renders it. */
export const TokenizeRequestSchema = onlyKnown({
  model,
  user: answerFields.user,
  prompt: z.string().nullish(),
  ...chatInputFields,
  messages: chatInputFields.messages.nullish(),
  add_special_tokens: z
    .boolean()
    .nullish()
    .describe(
      'Of a text: what the tokenizer puts around it (BOS); default true. A chat has what its template says',
    ),
  return_token_strs: z.boolean().nullish().describe('Adds the tokens as the vocabulary spells them'),
}).superRefine((request, context) => {
  const report = (field: string, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message });
  const { prompt, messages, add_special_tokens } = request;
  if ((typeof prompt === 'string') === Boolean(messages))
    report(messages ? 'messages' : 'prompt', 'expected exactly one of prompt and messages');
  if (messages && add_special_tokens)
    report('add_special_tokens', 'only false with messages: the template adds them');
  if (messages) checkChatInput(request, report);
  else
    for (const name of CHAT_ONLY)
      if (request[name] !== undefined && request[name] !== null) report(name, 'only allowed with messages');
});
export type TokenizeRequest = z.infer<typeof TokenizeRequestSchema>;

const CHAT_ONLY = [
  'tools',
  'documents',
  'add_generation_prompt',
  'continue_final_message',
  'chat_template_kwargs',
] as const;

export const TokenizeResponseSchema = z.object({
  count: z.int(),
  max_model_len: z.int().describe('Tokens that prompt and completion may have in all'),
  tokens: z.array(z.int()),
  token_strs: z.array(z.string()).nullable(),
});
export type TokenizeResponse = z.infer<typeof TokenizeResponseSchema>;

export const DetokenizeRequestSchema = onlyKnown({
  model,
  user: answerFields.user,
  tokens: tokenIds(MOST.tokens),
});
export type DetokenizeRequest = z.infer<typeof DetokenizeRequestSchema>;

export const DetokenizeResponseSchema = z.object({ prompt: z.string() });
export type DetokenizeResponse = z.infer<typeof DetokenizeResponseSchema>;
