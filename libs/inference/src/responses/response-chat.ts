import type { Made } from '#contracts/openai/bounded.js';
import {
  type ChatRequest,
  type ChatRequestMessage,
  ChatRequestSchema,
} from '#contracts/openai/chat-request.js';
import { samplingFields } from '#contracts/openai/generation-fields.js';
import type {
  CountInputTokens,
  CreateResponse,
  ResponseTool,
} from '#contracts/openai/responses/create-response.js';
import type { InputItem } from '#contracts/openai/responses/items.js';
import { textOfContent } from './response-items.js';

type Message = Made<ChatRequestMessage>;
type Assistant = Extract<Message, { role: 'assistant' }>;

/** The request, and the items before its own, as one to /v1/chat/completions. */
export function chatOf(request: CreateResponse, items: readonly InputItem[]): ChatRequest {
  const { top_logprobs, include } = request;
  const logprobs = typeof top_logprobs === 'number' || include?.includes('message.output_text.logprobs');
  const made: Made<ChatRequest> = {
    ...samplingOf(request),
    ...promptOf(request, items),
    max_completion_tokens: request.max_output_tokens,
    stream: request.stream,
    parallel_tool_calls: request.parallel_tool_calls,
    lora_scale: request.lora_scale,
    cache_salt: request.cache_salt,
    priority: request.priority,
    service_tier: request.service_tier,
    ...(logprobs ? { logprobs: true, top_logprobs: top_logprobs ?? 0 } : {}),
  };
  return made as ChatRequest;
}

/** What such a chat's prompt is made of. */
export function promptOf(request: CountInputTokens, items: readonly InputItem[]): Made<ChatRequest> {
  return {
    model: request.model,
    user: request.user,
    messages: withInstructions(request.instructions, messagesOf(items)),
    tools: request.tools?.map(toolOf),
    tool_choice: toolChoiceOf(request.tool_choice) as never,
    reasoning_effort: request.reasoning?.effort,
    chat_template_kwargs: request.chat_template_kwargs,
    response_format: responseFormatOf(request.text?.format) as never,
  };
}

interface ChatIssue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
}

/** What /v1/chat/completions would not take of it, in the fields of a response. */
export function chatFaults(chat: ChatRequest): ChatIssue[] {
  const { error } = ChatRequestSchema.safeParse(chat);
  return (error?.issues ?? []).map(({ message, path }) => ({ message, path: responsePath(path) }));
}

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  response_format: ['text', 'format'],
  max_completion_tokens: ['max_output_tokens'],
  max_tokens: ['max_output_tokens'],
  reasoning_effort: ['reasoning', 'effort'],
};

function responsePath([first, ...rest]: readonly PropertyKey[]): PropertyKey[] {
  const field = String(first);
  if (field === 'messages') return ['input'];
  // Tools and formats have one level less here.
  const inner = rest.filter((key) => key !== 'function' && key !== 'json_schema');
  return [...(FIELDS[field] ?? [field.replace('.function.', '.').replace('.json_schema.', '.')]), ...inner];
}

/** Both have the sampling fields under the same names. */
function samplingOf(request: CreateResponse): Partial<Made<ChatRequest>> {
  const given = Object.entries(request).filter(([name]) => name in samplingFields);
  return Object.fromEntries(given) as Partial<Made<ChatRequest>>;
}

function toolOf({ type, name, description, parameters, strict }: ResponseTool) {
  const called = {
    name,
    ...(description ? { description } : {}),
    ...(parameters ? { parameters } : {}),
    ...(typeof strict === 'boolean' ? { strict } : {}),
  };
  return { type, function: called };
}

interface NamedTool {
  readonly type?: unknown;
  readonly name: unknown;
}

/** Tools are named one level higher here; what is none of the forms is told by the chat's rules. */
function toolChoiceOf(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null) return choice;
  if ('name' in choice) return chosenTool(choice);
  const { type, mode, tools } = choice as { type?: unknown; mode?: unknown; tools?: unknown };
  if (type !== 'allowed_tools' || !Array.isArray(tools)) return choice;
  return { type, allowed_tools: { mode, tools: (tools as NamedTool[]).map(chosenTool) } };
}

function chosenTool({ type, name }: NamedTool): object {
  return type === 'function' ? { type, function: { name } } : { type, name };
}

type TextFormat = NonNullable<NonNullable<CreateResponse['text']>['format']>;

function responseFormatOf(format: TextFormat | null | undefined): object | undefined {
  if (!format) return undefined;
  const { type, ...described } = format;
  return type === 'json_schema' ? { type, json_schema: described } : format;
}

/** Many templates know one system message, the first: what the conversation itself begins with joins the instructions. */
function withInstructions(instructions: string | null | undefined, messages: readonly Message[]): Message[] {
  if (!instructions) return [...messages];
  const [first, ...rest] = messages;
  const isSystem = first?.role === 'system' || first?.role === 'developer';
  const content = isSystem ? `${instructions}\n\n${String(first.content)}` : instructions;
  return [{ role: 'system', content }, ...(isSystem ? rest : messages)];
}

/** Reasoning, text and calls that come in a row are one message of the assistant's. */
function messagesOf(items: readonly InputItem[]): Message[] {
  const messages: Message[] = [];
  let assistant: Assistant | undefined;
  const begin = (): Assistant => {
    const made: Assistant = { role: 'assistant' };
    messages.push(made);
    return made;
  };
  for (const item of items) {
    if (item.type === 'function_call') {
      assistant ??= begin();
      const { call_id, name, arguments: text } = item;
      const call = { id: call_id, type: 'function' as const, function: { name, arguments: text } };
      assistant.tool_calls = [...(assistant.tool_calls ?? []), call];
    } else if (item.type === 'reasoning') {
      if (assistant?.content !== undefined || assistant?.tool_calls) assistant = undefined;
      assistant ??= begin();
      const texts = (item.content ?? item.summary).map(({ text }) => text);
      assistant.reasoning_content = [assistant.reasoning_content, ...texts].filter(Boolean).join('\n');
    } else if (item.type === 'function_call_output') {
      assistant = undefined;
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: textOfContent(item.output) });
    } else if (item.role === 'assistant') {
      if (assistant?.content !== undefined || assistant?.tool_calls) assistant = undefined;
      assistant ??= begin();
      assistant.content = textOfContent(item.content);
    } else {
      assistant = undefined;
      messages.push({ role: item.role, content: textOfContent(item.content) });
    }
  }
  return messages;
}
