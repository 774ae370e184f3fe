import { z } from 'zod';
import { bounded, type Made, MOST, onlyKnown } from '../bounded.js';

/* Items of a conversation as OpenAI's Responses API writes them: what goes in, and what a model gives out. */

const id = z.string().min(1).max(256).nullish();
const status = z.enum(['in_progress', 'completed', 'incomplete']).nullish();

const TextSchema = z.looseObject({
  type: z.enum(['input_text', 'output_text', 'text'], {
    error: ({ input }) => `only texts are supported, got ${JSON.stringify(input)}`,
  }),
  text: z.string(),
});

const CONTENT_EXPECTED = 'expected a string or an array of texts';
const contentParts = bounded(
  MOST.contentParts,
  z.array(TextSchema, { error: CONTENT_EXPECTED }).max(MOST.contentParts),
);
/** A part at fault is named rather than the whole content. */
const content = z
  .unknown()
  .superRefine((value, context) => {
    if (typeof value === 'string') return;
    const [first] = contentParts.safeParse(value).error?.issues ?? [];
    if (first) context.addIssue({ code: 'custom', path: first.path, message: first.message });
  })
  .meta({
    anyOf: [
      { type: 'string' },
      {
        type: 'array',
        items: { type: 'object', properties: { type: { type: 'string' }, text: { type: 'string' } } },
      },
    ],
  }) as unknown as z.ZodType<ItemContent, ItemContent>;
export type ItemContent = string | { readonly type: string; readonly text: string }[];

const MessageItemSchema = onlyKnown({
  type: z.literal('message').nullish(),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content,
  id,
  status,
  phase: z.enum(['commentary', 'final_answer']).nullish(),
});
const CallItemSchema = onlyKnown({
  type: z.literal('function_call'),
  call_id: z.string().min(1).max(256),
  name: z.string().min(1).max(256),
  arguments: z.string(),
  id,
  status,
});
const CallOutputItemSchema = onlyKnown({
  type: z.literal('function_call_output'),
  call_id: z.string().min(1).max(256),
  output: content,
  id,
  status,
});
const ReasoningItemSchema = onlyKnown({
  type: z.literal('reasoning'),
  summary: z.array(z.object({ type: z.literal('summary_text'), text: z.string() })).max(MOST.contentParts),
  content: z
    .array(z.object({ type: z.literal('reasoning_text'), text: z.string() }))
    .max(MOST.contentParts)
    .nullish(),
  encrypted_content: z.null({ error: 'is not supported: reasoning is given and taken as it is' }).optional(),
  id,
  status,
});

const SCHEMAS = {
  message: MessageItemSchema,
  function_call: CallItemSchema,
  function_call_output: CallOutputItemSchema,
  reasoning: ReasoningItemSchema,
} as const;
const TYPES = Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[];

export type MessageItem = Made<z.infer<typeof MessageItemSchema>>;
type CallItem = Made<z.infer<typeof CallItemSchema>>;
type CallOutputItem = Made<z.infer<typeof CallOutputItemSchema>>;
type ReasoningItem = Made<z.infer<typeof ReasoningItemSchema>>;
export type InputItem = MessageItem | CallItem | CallOutputItem | ReasoningItem;

/** An item by its type; a message need not say that it is one. */
export const InputItemSchema = z
  .unknown()
  .superRefine((value, context) => {
    const type = typeOf(value);
    if (type === undefined) {
      const given = JSON.stringify((value as { type?: unknown } | null)?.type) ?? 'none';
      const message = `expected one of ${TYPES.join(', ')}, got ${given}`;
      context.addIssue({ code: 'custom', path: ['type'], message });
      return;
    }
    for (const issue of SCHEMAS[type].safeParse(value).error?.issues ?? [])
      context.addIssue({ ...issue, message: issue.message } as never);
  })
  .meta({ anyOf: TYPES.map((type) => ({ type: 'object', title: type })) }) as unknown as z.ZodType<
  InputItem,
  InputItem
>;

function typeOf(value: unknown): keyof typeof SCHEMAS | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type = 'message' } = value as { readonly type?: unknown };
  return TYPES.find((known) => known === (type ?? 'message'));
}

const outputStatus = z.enum(['in_progress', 'completed', 'incomplete']);
const LogprobSchema = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()),
  top_logprobs: z.array(z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) })),
});
export type OutputLogprob = z.infer<typeof LogprobSchema>;

export const OutputTextSchema = z.object({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: z.array(LogprobSchema),
});
export type OutputText = z.infer<typeof OutputTextSchema>;

/** What a model gives out. */
export const OutputItemSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    id: z.string(),
    role: z.literal('assistant'),
    status: outputStatus,
    content: z.array(OutputTextSchema),
  }),
  z.object({
    type: z.literal('function_call'),
    id: z.string(),
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
    status: outputStatus,
  }),
  z.object({
    type: z.literal('reasoning'),
    id: z.string(),
    summary: z.array(z.never()),
    content: z.array(z.object({ type: z.literal('reasoning_text'), text: z.string() })),
    status: outputStatus,
  }),
]);
export type OutputItem = z.infer<typeof OutputItemSchema>;
