import { z } from 'zod';
import { CompletionUsageSchema, PromptLogprobsSchema, ServiceTierSchema, StopReasonSchema } from './usage.js';

const TokenLogprobSchema = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()),
});

export const ChatLogprobsSchema = z.object({
  content: z.array(TokenLogprobSchema.extend({ top_logprobs: z.array(TokenLogprobSchema) })),
  refusal: z.null(),
});
export type ChatLogprobs = z.infer<typeof ChatLogprobsSchema>;

const FinishSchema = z.enum(['stop', 'length']);

export const ChatChoiceSchema = z.object({
  index: z.int(),
  message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
  logprobs: ChatLogprobsSchema.nullable(),
  finish_reason: FinishSchema,
  stop_reason: StopReasonSchema,
  token_ids: z.array(z.int()).optional(),
});
export type ChatChoice = z.infer<typeof ChatChoiceSchema>;

const head = {
  id: z.string(),
  created: z.int(),
  model: z.string(),
  system_fingerprint: z.string(),
  service_tier: ServiceTierSchema.optional(),
};

export const ChatCompletionSchema = z.object({
  ...head,
  object: z.literal('chat.completion'),
  choices: z.array(ChatChoiceSchema),
  usage: CompletionUsageSchema,
  prompt_token_ids: z.array(z.int()).optional(),
  prompt_logprobs: PromptLogprobsSchema.optional(),
});
export type ChatCompletion = z.infer<typeof ChatCompletionSchema>;

export const ChatChunkChoiceSchema = z.object({
  index: z.int(),
  delta: z.object({ role: z.literal('assistant').optional(), content: z.string().optional() }),
  logprobs: ChatLogprobsSchema.nullable(),
  finish_reason: FinishSchema.nullable(),
  stop_reason: StopReasonSchema.optional(),
  token_ids: z.array(z.int()).optional(),
});
export type ChatChunkChoice = z.infer<typeof ChatChunkChoiceSchema>;

export const ChatCompletionChunkSchema = z.object({
  ...head,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(ChatChunkChoiceSchema),
  usage: CompletionUsageSchema.nullable().optional(),
  prompt_token_ids: z.array(z.int()).optional(),
});
export type ChatCompletionChunk = z.infer<typeof ChatCompletionChunkSchema>;
