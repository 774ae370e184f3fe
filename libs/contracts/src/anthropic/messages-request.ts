import { z } from 'zod';
import { bounded, MOST, onlyKnown } from '../openai/bounded.js';
import { answerFields } from '../openai/generation-fields.js';

/* Anthropic's POST /v1/messages and /v1/messages/count_tokens. Schemas only check. */

const cacheControl = z
  .unknown()
  .optional()
  .meta({ description: 'Accepted and ignored: prefixes are cached anyway' });

const TextBlockSchema = onlyKnown({
  type: z.literal('text'),
  text: z.string(),
  cache_control: cacheControl,
  citations: z.array(z.unknown()).max(0, 'are not supported').nullish(),
});

const ToolUseSchema = onlyKnown({
  type: z.literal('tool_use'),
  id: z.string().min(1),
  name: z.string().min(1),
  input: z.record(z.string(), z.unknown()),
  cache_control: cacheControl,
});

const ToolResultSchema = onlyKnown({
  type: z.literal('tool_result'),
  tool_use_id: z.string().min(1),
  content: z.union([z.string(), bounded(MOST.contentParts, z.array(TextBlockSchema))]).nullish(),
  is_error: z.boolean().nullish(),
  cache_control: cacheControl,
});

const ThinkingSchema = onlyKnown({
  type: z.literal('thinking'),
  thinking: z.string(),
  signature: z.string().nullish(),
});

/** A block of a kind that is none of them is named rather than the whole content. */
function blocksOf<T extends readonly [z.ZodObject, ...z.ZodObject[]]>(blocks: T) {
  const kinds = blocks.map((block) => String((block.shape as { type: z.ZodLiteral<string> }).type.value));
  return bounded(
    MOST.contentParts,
    z.array(
      z.discriminatedUnion('type', blocks as unknown as [z.ZodObject], {
        error: () => `expected a block of type ${kinds.join(', ')}`,
      }),
    ),
  );
}

type Block<T extends z.ZodType> = z.infer<T>;
export type UserBlock = Block<typeof TextBlockSchema> | Block<typeof ToolResultSchema>;
export type AssistantBlock =
  | Block<typeof TextBlockSchema>
  | Block<typeof ToolUseSchema>
  | Block<typeof ThinkingSchema>;

const content = <T>(blocks: z.ZodType) =>
  z.union([z.string(), blocks], {
    error: ({ input }) => (Array.isArray(input) ? undefined : 'expected a string or an array of blocks'),
  }) as unknown as z.ZodType<string | T[], string | T[]>;

const MessageSchema = z.discriminatedUnion(
  'role',
  [
    onlyKnown({
      role: z.literal('user'),
      content: content<UserBlock>(blocksOf([TextBlockSchema, ToolResultSchema])),
    }),
    onlyKnown({
      role: z.literal('assistant'),
      content: content<AssistantBlock>(blocksOf([TextBlockSchema, ToolUseSchema, ThinkingSchema])),
    }),
  ],
  { error: ({ code }) => (code === 'invalid_union' ? 'expected user or assistant' : undefined) },
);
export type AnthropicMessage = z.infer<typeof MessageSchema>;

const ToolSchema = onlyKnown({
  type: z.literal('custom', { error: 'only "custom" tools are supported' }).nullish(),
  name: z.string().min(1).max(128),
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown()),
  cache_control: cacheControl,
  strict: z.boolean().nullish().describe('Inputs that fit `input_schema` exactly'),
});

const disableParallel = z.boolean().nullish();
const ToolChoiceSchema = z.discriminatedUnion(
  'type',
  [
    onlyKnown({ type: z.enum(['auto', 'any', 'none']), disable_parallel_tool_use: disableParallel }),
    onlyKnown({
      type: z.literal('tool'),
      name: z.string(),
      disable_parallel_tool_use: disableParallel,
    }),
  ],
  { error: ({ code }) => (code === 'invalid_union' ? 'expected type auto, any, tool or none' : undefined) },
);

const ThinkingChoiceSchema = z.discriminatedUnion(
  'type',
  [
    onlyKnown({ type: z.literal('enabled'), budget_tokens: z.int().min(1).nullish() }),
    onlyKnown({ type: z.literal('adaptive') }),
    onlyKnown({ type: z.literal('disabled') }),
  ],
  { error: () => 'expected type enabled, adaptive or disabled' },
);

/** What the prompt is made of. */
const promptFields = {
  model: answerFields.model,
  messages: bounded(MOST.messages, z.array(MessageSchema).min(1).max(MOST.messages)),
  system: z.union([z.string(), bounded(MOST.contentParts, z.array(TextBlockSchema))]).nullish(),
  tools: bounded(MOST.tools, z.array(ToolSchema).max(MOST.tools)).nullish(),
  tool_choice: ToolChoiceSchema.nullish(),
  thinking: ThinkingChoiceSchema.nullish().describe(
    'Reasoning, where the model has it: off unless enabled; `budget_tokens` bounds nothing, `max_tokens` does',
  ),
};

const share = z.number().min(0).max(1).nullish();

export const MessagesRequestSchema = onlyKnown({
  ...promptFields,
  max_tokens: z.int().min(1),
  stop_sequences: bounded(
    MOST.stops,
    z.array(z.string().min(1).max(MOST.stopCharacters)).max(MOST.stops),
  ).nullish(),
  temperature: share.describe('0 is greedy; default 1'),
  top_p: share,
  top_k: z.int().min(0).nullish(),
  stream: z.boolean().nullish(),
  metadata: onlyKnown({ user_id: z.string().max(512).nullish() })
    .nullish()
    .describe('`user_id` keeps one end user on one version of a weighted alias'),
  service_tier: z.enum(['auto', 'standard_only']).nullish().describe('Accepted and ignored'),
});
export type MessagesRequest = z.infer<typeof MessagesRequestSchema>;

export const CountTokensRequestSchema = onlyKnown(promptFields);
export type CountTokensRequest = z.infer<typeof CountTokensRequestSchema>;
