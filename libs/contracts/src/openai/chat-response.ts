import { z } from 'zod';
import { choiceOfModel, ModelResultSchema } from './many-models.js';
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

const FinishSchema = z.enum(['stop', 'length', 'tool_calls', 'error']);
export type ChatFinish = z.infer<typeof FinishSchema>;

const ToolCallSchema = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({
    name: z.string(),
    arguments: z.string().describe('JSON text, as the model wrote it'),
  }),
});

const reasoning = z.string().optional().describe('What the model thought before it answered');

const ChatMessageSchema = z.object({
  role: z.literal('assistant'),
  content: z.string().nullable(),
  refusal: z.null(),
  reasoning_content: reasoning,
  tool_calls: z.array(ToolCallSchema).optional(),
});
export type ChatMessage = z.infer<typeof ChatMessageSchema>;

export const ChatChoiceSchema = z.object({
  index: z.int(),
  message: ChatMessageSchema,
  logprobs: ChatLogprobsSchema.nullable(),
  finish_reason: FinishSchema,
  stop_reason: StopReasonSchema,
  token_ids: z.array(z.int()).optional(),
  ...choiceOfModel,
});
export type ChatChoice = z.infer<typeof ChatChoiceSchema>;

const models = z.array(ModelResultSchema).optional().describe('Only where several `models` were asked');

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
  models,
  prompt_token_ids: z.array(z.int()).optional(),
  prompt_logprobs: PromptLogprobsSchema.optional(),
});
export type ChatCompletion = z.infer<typeof ChatCompletionSchema>;

const ChatDeltaSchema = z.object({
  role: z.literal('assistant').optional(),
  content: z.string().optional(),
  reasoning_content: reasoning,
  tool_calls: z
    .array(
      z.object({
        index: z.int(),
        /** With `type` and the name only where the call begins. */
        id: z.string().optional(),
        type: z.literal('function').optional(),
        function: z.object({ name: z.string().optional(), arguments: z.string() }),
      }),
    )
    .optional(),
});
export type ChatDelta = z.infer<typeof ChatDeltaSchema>;

export const ChatChunkChoiceSchema = z.object({
  index: z.int(),
  delta: ChatDeltaSchema,
  logprobs: ChatLogprobsSchema.nullable(),
  finish_reason: FinishSchema.nullable(),
  stop_reason: StopReasonSchema.optional(),
  token_ids: z.array(z.int()).optional(),
  ...choiceOfModel,
});
export type ChatChunkChoice = z.infer<typeof ChatChunkChoiceSchema>;

export const ChatCompletionChunkSchema = z.object({
  ...head,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(ChatChunkChoiceSchema),
  usage: CompletionUsageSchema.nullable().optional(),
  models,
  prompt_token_ids: z.array(z.int()).optional(),
});
export type ChatCompletionChunk = z.infer<typeof ChatCompletionChunkSchema>;
