import { z } from 'zod';
import { checkStructure, type StructureFields, structureFields } from '../structure-wish.js';
import { beamFields, checkBeams } from './beam-fields.js';
import { bounded, MOST, onlyKnown } from './bounded.js';
import { checkModels, modelFields, type OfOneModel } from './many-models.js';
import { chosenTools, type ToolChoice, ToolChoiceSchema } from './tool-choice.js';
import {
  answerFields,
  checkCommonRules,
  defaultOnlyFields,
  ignoredFields,
  lengthFields,
  MAX_TOP_LOGPROBS,
  promptFields,
  samplingFields,
} from './generation-fields.js';

const TextPartSchema = z.object({
  type: z.literal('text', {
    error: ({ input }) => `only "text" parts are supported, got ${JSON.stringify(input)}`,
  }),
  text: z.string(),
});

const CONTENT_EXPECTED = 'expected a string or an array of text parts';

/** A string, or parts; a part at fault is named rather than the whole content. */
const content = z
  .unknown()
  .superRefine((value, context) => {
    if (typeof value === 'string') return;
    const parts = bounded(MOST.contentParts, z.array(TextPartSchema, { error: CONTENT_EXPECTED })).safeParse(
      value,
    );
    const [first] = parts.error?.issues ?? [];
    if (first) context.addIssue({ code: 'custom', path: first.path, message: first.message });
  })
  .meta({
    anyOf: [
      { type: 'string' },
      {
        type: 'array',
        items: {
          type: 'object',
          properties: { type: { const: 'text' }, text: { type: 'string' } },
          required: ['type', 'text'],
        },
      },
    ],
  }) as unknown as z.ZodType<MessageContent, MessageContent>;

export type MessageContent = string | { type: 'text'; text: string }[];

const name = z.string().max(256).nullish();

/**
 * What clients and other servers' answers put on messages besides: taken so that a conversation can be sent back as it
 * is, and without effect.
 */
const ignoredMembers = {
  id: z.string().nullish(),
  type: z.literal('message', { error: 'only "message" is supported' }).nullish(),
  status: z.string().nullish(),
  weight: z.number().nullish().describe('Of fine-tuning data'),
};

const ToolCallSchema = onlyKnown({
  id: z.string().nullish(),
  index: z.int().nullish(),
  type: z.literal('function').nullish(),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

const reasoning = z.string().nullish().describe('Given to the chat template as `reasoning_content`');

const AssistantMessageSchema = onlyKnown({
  role: z.literal('assistant'),
  content: content.nullish(),
  name,
  tool_calls: bounded(MOST.toolCalls, z.array(ToolCallSchema).max(MOST.toolCalls)).nullish(),
  reasoning_content: reasoning,
  reasoning,
  ...ignoredMembers,
  // What answers of OpenAI-compatible servers carry, so that they can be sent back as they are.
  refusal: z.string().nullish(),
  annotations: z.array(z.unknown()).nullish(),
  audio: z.null().optional(),
  function_call: z.null().optional(),
});

export const ChatRequestMessageSchema = z.discriminatedUnion(
  'role',
  [
    onlyKnown({ role: z.enum(['system', 'developer', 'user']), content, name, ...ignoredMembers }),
    AssistantMessageSchema,
    onlyKnown({ role: z.literal('tool'), content, tool_call_id: z.string(), name, ...ignoredMembers }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union' ? 'expected one of system, developer, user, assistant, tool' : undefined,
  },
);
export type ChatRequestMessage = z.infer<typeof ChatRequestMessageSchema>;

const ToolSchema = z.object({
  type: z.literal('function', { error: 'only "function" tools are supported' }),
  function: z.looseObject({
    name: z.string(),
    description: z.string().nullish(),
    strict: z.boolean().nullish(),
  }),
});

/** Given to the template by us, from the request's own fields. */
const RESERVED_TEMPLATE_ARGUMENTS = ['messages', 'tools', 'add_generation_prompt'];

/** Members that reach a template with the spelling of their numbers. */
export const VERBATIM_IN_TEMPLATES = ['tools', 'documents', 'chat_template_kwargs'];

/** What the chat template is given. */
export const chatInputFields = {
  messages: bounded(MOST.messages, z.array(ChatRequestMessageSchema).min(1).max(MOST.messages)),
  tools: bounded(MOST.tools, z.array(ToolSchema).max(MOST.tools)).nullish(),
  documents: bounded(MOST.documents, z.array(z.record(z.string(), z.unknown())).max(MOST.documents))
    .nullish()
    .describe('Given to the chat template as `documents`'),
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z
    .boolean()
    .nullish()
    .describe('The answer goes on with the last message; then there is no generation prompt'),
  chat_template_kwargs: bounded(MOST.templateArguments, z.record(z.string(), z.unknown()))
    .nullish()
    .describe('Further variables for the chat template'),
};

/** POST /v1/chat/completions. An unknown field is refused: ignoring it could answer another question than was asked. */
export const ChatRequestSchema = onlyKnown({
  ...answerFields,
  ...modelFields,
  ...chatInputFields,
  ...samplingFields,
  ...promptFields,
  ...lengthFields,
  max_tokens: z.int().min(1).nullish().describe('Default: to the end of the context'),
  max_completion_tokens: z.int().min(1).nullish().describe('Goes before `max_tokens`, its old name'),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).nullish(),
  ...structureFields,
  tool_choice: ToolChoiceSchema.nullish().describe('`auto` when absent'),
  parallel_tool_calls: z.boolean().nullish().describe('false: only the first call of an answer is given'),
  include_reasoning: z.boolean().nullish().describe('false: reasoning is left out of the answer'),
  reasoning_effort: z
    .enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh'])
    .nullish()
    .describe('Given to the chat template as `reasoning_effort`'),
  prediction: onlyKnown({
    type: z.literal('content', { error: 'only "content" is supported' }),
    content,
  })
    .nullish()
    .describe(
      'What most of the answer will be: it comes faster where that is right, and is the same in any case',
    ),
  modalities: bounded(8, z.array(z.literal('text', { error: 'only "text" is supported' }))).nullish(),
  add_special_tokens: z
    .literal(false, { error: 'only false is supported: the template adds them' })
    .nullish(),
  echo: z.boolean().nullish().describe("An answer that goes on with the assistant's message begins with it"),
  ...ignoredFields,
  ...beamFields,
  ...defaultOnlyFields,
}).superRefine((request, context) => {
  const report = (field: string, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message });
  checkChatRules(request, report);
  checkBeams(request, report);
  checkModels(request, request.n ?? 1, report);
});
export type ChatBody = z.infer<typeof ChatRequestSchema>;
export type ChatRequest = OfOneModel<ChatBody>;

interface ChatInputRules {
  readonly documents?: readonly unknown[] | null | undefined;
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null | undefined;
  readonly add_generation_prompt?: boolean | null | undefined;
  readonly continue_final_message?: boolean | null | undefined;
}

interface ChatRules extends ChatInputRules, StructureFields {
  readonly max_tokens?: number | null | undefined;
  readonly max_completion_tokens?: number | null | undefined;
  readonly min_tokens?: number | null | undefined;
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
  readonly tools?: readonly { readonly function: { readonly name: string } }[] | null | undefined;
  readonly tool_choice?: ToolChoice | null | undefined;
  readonly prompt_logprobs?: number | null | undefined;
  readonly logprob_token_ids?: readonly number[] | null | undefined;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: object | null | undefined;
}

type Report = (field: string, message: string) => void;

function checkChatRules(request: ChatRules, report: Report): void {
  const { max_tokens, max_completion_tokens } = request;
  checkStructure(request, report);
  checkCommonRules({ ...request, max_tokens: max_completion_tokens ?? max_tokens }, report);
  if (typeof request.top_logprobs === 'number' && !request.logprobs)
    report('top_logprobs', 'only allowed with logprobs: true');
  checkTools(request, report);
  checkChatInput(request, report);
}

/** Rules over the fields that the chat template is given. */
export function checkChatInput(request: ChatInputRules, report: Report): void {
  const reserved = [...RESERVED_TEMPLATE_ARGUMENTS, ...(request.documents ? ['documents'] : [])];
  for (const name of reserved)
    if (request.chat_template_kwargs && Object.hasOwn(request.chat_template_kwargs, name))
      report('chat_template_kwargs', `cannot hold "${name}": it comes from the request's own field`);
  if (request.continue_final_message && request.add_generation_prompt)
    report('continue_final_message', 'not with add_generation_prompt: true');
}

function checkTools({ tools, tool_choice }: ChatRules, report: Report): void {
  const { mode, names = [] } = chosenTools(tool_choice);
  if (mode === 'required' && (tools ?? []).length === 0)
    report('tool_choice', 'a tool can only be called where there are tools');
  const known = new Set(tools?.map((tool) => tool.function.name));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) report('tool_choice', `there is no tool ${JSON.stringify(unknown)}`);
}
