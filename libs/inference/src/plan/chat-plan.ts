import { chatInput, type ChatMessage } from '#contracts/chat-input.js';
import type { ChatRequest, ChatRequestMessage, MessageContent } from '#contracts/openai/chat-request.js';
import { RawJson } from '#contracts/raw-json.js';
import { AppError } from '#runtime/app-error.js';
import type { GenerationPlan } from './generation-plan.js';
import { callableTools, callsOf } from './tool-calls.js';
import {
  beamOf,
  defaultedOf,
  endingOf,
  listedOf,
  promptingOf,
  samplingOf,
  structureOf,
} from './sampling-plan.js';

export function planChat(request: ChatRequest): GenerationPlan {
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const input = chatInputOf(request);
  const structure = structureOf(request);
  const calls = callsOf(request);
  const defaulted = defaultedOf(request, maxTokens);
  const sequences = Array.from({ length: request.n ?? 1 }, (_, alternative) => ({
    prompt: 0,
    request: {
      ...endingOf(request),
      wantedFormats: { tools: callableTools(request).length > 0, reasoning: true },
      ...promptingOf(request),
      ...predictionOf(request),
      ...structure,
      ...calls,
      input,
      ...(typeof maxTokens === 'number' ? { maxTokens } : {}),
      sampling: samplingOf(request, alternative),
      defaulted,
      ...beamOf(request, defaulted),
      ...(request.logprobs ? { logprobs: request.top_logprobs ?? 0 } : {}),
      ...listedOf(request),
      ...(typeof request.prompt_logprobs === 'number' ? { promptLogprobs: request.prompt_logprobs } : {}),
    },
  }));
  const { model, user, cache_salt, lora_scale } = request;
  return {
    model,
    user: user ?? undefined,
    cacheSalt: cache_salt ?? undefined,
    loraScale: lora_scale ?? undefined,
    sequences,
    promptField: 'messages',
  };
}

function predictionOf({ prediction }: ChatRequest): { prediction?: string } {
  const { content = '' } = prediction ?? {};
  const text = typeof content === 'string' ? content : content.map((part) => part.text).join('');
  return text === '' ? {} : { prediction: text };
}

type ChatFields = Pick<
  ChatRequest,
  | 'messages'
  | 'tools'
  | 'documents'
  | 'chat_template_kwargs'
  | 'add_generation_prompt'
  | 'continue_final_message'
> &
  Pick<Partial<ChatRequest>, 'reasoning_effort'>;

function templateArguments({ chat_template_kwargs: given, reasoning_effort }: ChatFields) {
  return reasoning_effort ? { reasoning_effort, ...given } : (given ?? undefined);
}

/** What the engine renders of a chat. */
export function chatInputOf(request: ChatFields) {
  const tools = request.tools ?? [];
  return chatInput({
    messages: request.messages.map(templateMessage),
    tools: tools.length > 0 ? tools : undefined,
    documents: request.documents ?? undefined,
    templateArguments: templateArguments(request),
    addGenerationPrompt: request.add_generation_prompt ?? !request.continue_final_message,
    continueFinalMessage: request.continue_final_message ?? undefined,
  });
}

/**
 * The message as chat templates know it: role, content, name, tool_calls, tool_call_id, reasoning and reasoning_content.
 * Other members that the request may have (id, type, weight, ...) say nothing to a model.
 */
function templateMessage(message: ChatRequestMessage, index: number): ChatMessage {
  const name = message.name || undefined;
  if (message.role === 'tool') {
    return { role: 'tool', content: textOf(message.content), tool_call_id: message.tool_call_id, name };
  }
  if (message.role !== 'assistant') {
    // OpenAI's newer name of the system role; templates know only the old one.
    const role = message.role === 'developer' ? 'system' : message.role;
    return { role, content: textOf(message.content), name };
  }
  const calls = message.tool_calls ?? [];
  return {
    role: 'assistant',
    content: textOf(message.content ?? ''),
    name,
    ...reasoningOf(message),
    tool_calls: calls.length > 0 ? calls.map((call, at) => templateToolCall(call, index, at)) : undefined,
  };
}

type AssistantMessage = Extract<ChatRequestMessage, { role: 'assistant' }>;

/** `reasoning` is the newer name; most templates know only the old one. */
function reasoningOf({ reasoning, reasoning_content }: AssistantMessage): Partial<ChatMessage> {
  return {
    reasoning: reasoning ?? undefined,
    reasoning_content: reasoning_content ?? reasoning ?? undefined,
  };
}

export function textOf(content: MessageContent): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('\n');
}

type ToolCall = NonNullable<AssistantMessage['tool_calls']>[number];

/** Templates render a call's arguments from an object; OpenAI sends them as JSON text. No text stands for no arguments. */
function templateToolCall(call: ToolCall, message: number, index: number): unknown {
  const text = call.function.arguments.trim() === '' ? '{}' : call.function.arguments;
  if (isObjectText(text)) {
    const { id, function: called } = call;
    return { id: id ?? undefined, type: 'function', function: { ...called, arguments: new RawJson(text) } };
  }
  const param = `messages[${message}].tool_calls[${index}].function.arguments`;
  throw new AppError('invalid_request', { message: `${param}: expected a JSON object as text`, param });
}

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
