import { z } from 'zod';

const ContentBlockSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string(), citations: z.null() }),
  z.object({
    type: z.literal('thinking'),
    thinking: z.string(),
    signature: z.string().describe('Empty: nothing is signed'),
  }),
  z.object({
    type: z.literal('tool_use'),
    id: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
]);
export type ContentBlock = z.infer<typeof ContentBlockSchema>;

const StopSchema = z.enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use']);
export type AnthropicStop = z.infer<typeof StopSchema>;

export const AnthropicUsageSchema = z.object({
  input_tokens: z.int().describe('Without those that were in the cache'),
  output_tokens: z.int(),
  cache_read_input_tokens: z.int(),
  cache_creation_input_tokens: z.int(),
});
export type AnthropicUsage = z.infer<typeof AnthropicUsageSchema>;

export const AnthropicMessageSchema = z.object({
  id: z.string(),
  type: z.literal('message'),
  role: z.literal('assistant'),
  model: z.string(),
  content: z.array(ContentBlockSchema),
  stop_reason: StopSchema.nullable(),
  stop_sequence: z.string().nullable(),
  usage: AnthropicUsageSchema,
});
export type AnthropicAnswer = z.infer<typeof AnthropicMessageSchema>;

export const TokenCountSchema = z.object({ input_tokens: z.int() });
export type TokenCount = z.infer<typeof TokenCountSchema>;
