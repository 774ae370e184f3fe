import type { ChatMessage } from '#contracts/engine-protocol.js';
import type { ChatRequest, ChatRequestMessage, MessageContent } from '#contracts/openai/chat-request.js';
import { AppError } from '#runtime/app-error.js';
import type { GenerationPlan } from './generation-plan.js';
import { endingOf, samplingOf } from './sampling-plan.js';

export function planChat(request: ChatRequest): GenerationPlan {
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const tools = request.tools ?? [];
  const input = {
    kind: 'chat' as const,
    messages: request.messages.map(engineMessage),
    ...(tools.length > 0 ? { tools } : {}),
    addGenerationPrompt: request.add_generation_prompt ?? true,
    ...(request.chat_template_kwargs ? { templateArguments: request.chat_template_kwargs } : {}),
  };
  const sequences = Array.from({ length: request.n ?? 1 }, (_, alternative) => ({
    prompt: 0,
    request: {
      ...endingOf(request),
      input,
      ...(typeof maxTokens === 'number' ? { maxTokens } : {}),
      sampling: samplingOf(request, alternative),
      ...(request.logprobs ? { logprobs: request.top_logprobs ?? 0 } : {}),
    },
  }));
  return { model: request.model, user: request.user ?? undefined, sequences };
}

/** The message as chat templates know it. */
function engineMessage(message: ChatRequestMessage, index: number): ChatMessage {
  const name = message.name ? { name: message.name } : {};
  if (message.role === 'tool')
    return {
      role: 'tool',
      content: textOf(message.content),
      tool_call_id: message.tool_call_id,
      ...name,
    };
  if (message.role !== 'assistant') {
    // OpenAI's newer name of the system role; templates know only the old one.
    const role = message.role === 'developer' ? 'system' : message.role;
    return { role, content: textOf(message.content), ...name };
  }
  const calls = message.tool_calls ?? [];
  const reasoning = message.reasoning_content ?? message.reasoning;
  return {
    role: 'assistant',
    content: message.content ? textOf(message.content) : calls.length > 0 ? null : '',
    ...name,
    ...(reasoning ? { reasoning_content: reasoning } : {}),
    ...(calls.length > 0 ? { tool_calls: calls.map((call, at) => engineToolCall(call, index, at)) } : {}),
  };
}

function textOf(content: MessageContent): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('\n');
}

type ToolCall = NonNullable<Extract<ChatRequestMessage, { role: 'assistant' }>['tool_calls']>[number];

/** Templates render a call's arguments from an object; OpenAI sends them as JSON text. */
function engineToolCall(call: ToolCall, message: number, index: number): unknown {
  const parsed = parseObject(call.function.arguments);
  if (parsed) return { ...call, type: 'function', function: { ...call.function, arguments: parsed } };
  const param = `messages[${message}].tool_calls[${index}].function.arguments`;
  throw new AppError('invalid_request', { message: `${param}: expected a JSON object as text`, param });
}

function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
