import type {
  AnthropicMessage,
  AssistantBlock,
  CountTokensRequest,
  MessagesRequest,
  UserBlock,
} from '#contracts/anthropic/messages-request.js';
import type { Made } from '#contracts/openai/bounded.js';
import type { ChatRequest, ChatRequestMessage } from '#contracts/openai/chat-request.js';

/** What Anthropic's request is as one to /v1/chat/completions. */
export function chatOf(request: MessagesRequest): ChatRequest {
  const { max_tokens, stop_sequences, temperature, top_p, top_k, stream, metadata } = request;
  const made: Made<ChatRequest> = {
    ...promptOf(request),
    max_tokens,
    temperature,
    top_p,
    top_k,
    stream,
    stop: stop_sequences,
    user: metadata?.user_id,
    include_reasoning: thinks(request),
    parallel_tool_calls: request.tool_choice?.disable_parallel_tool_use ? false : undefined,
  };
  return made as ChatRequest;
}

type Message = Made<ChatRequestMessage>;
type PromptFields = Pick<
  Made<ChatRequest>,
  | 'model'
  | 'messages'
  | 'tools'
  | 'tool_choice'
  | 'chat_template_kwargs'
  | 'continue_final_message'
  | 'add_generation_prompt'
>;

/** The same of what its prompt is made of. An answer goes on with a text of the assistant's that comes last. */
export function promptOf(request: CountTokensRequest): PromptFields {
  const system = request.system && textOf(request.system);
  const messages = request.messages.flatMap(messagesOf);
  const last = messages.at(-1);
  const templateArguments = { enable_thinking: thinks(request) };
  return {
    model: request.model,
    messages: system ? [{ role: 'system', content: system }, ...messages] : messages,
    tools: request.tools?.map(toolOf),
    tool_choice: choiceOf(request.tool_choice),
    chat_template_kwargs: templateArguments,
    continue_final_message: last?.role === 'assistant' && !last.tool_calls,
  };
}

function choiceOf(choice: CountTokensRequest['tool_choice']): PromptFields['tool_choice'] {
  if (choice?.type === 'tool') return { type: 'function', function: { name: choice.name } };
  return choice?.type === 'any' ? 'required' : choice?.type;
}

function toolOf({
  name,
  description,
  input_schema,
  strict,
}: NonNullable<CountTokensRequest['tools']>[number]) {
  const called = { name, ...(description ? { description } : {}), parameters: input_schema, strict };
  return { type: 'function' as const, function: called };
}

/** Anthropic's models think only when they are asked to. */
function thinks({ thinking }: CountTokensRequest): boolean {
  return thinking?.type === 'enabled' || thinking?.type === 'adaptive';
}

function messagesOf(message: AnthropicMessage): Message[] {
  if (message.role === 'assistant') return [assistantOf(message.content)];
  if (typeof message.content === 'string') return [{ role: 'user', content: message.content }];
  return userOf(message.content);
}

/** Results of tools are messages of their own; the text beside them stays one message. */
function userOf(blocks: readonly UserBlock[]): Message[] {
  const results: Message[] = [];
  const texts: string[] = [];
  for (const block of blocks) {
    if (block.type === 'text') texts.push(block.text);
    else {
      const text = textOf(block.content ?? '');
      const content = block.is_error && text === '' ? 'error' : text;
      results.push({ role: 'tool', tool_call_id: block.tool_use_id, content });
    }
  }
  const isEmpty = texts.length === 0 && results.length > 0;
  return [...results, ...(isEmpty ? [] : [{ role: 'user' as const, content: texts.join('\n') }])];
}

function assistantOf(content: string | readonly AssistantBlock[]): Message {
  if (typeof content === 'string') return { role: 'assistant', content };
  const texts = content.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  const thoughts = content.flatMap((block) => (block.type === 'thinking' ? [block.thinking] : []));
  const calls = content.flatMap((block) =>
    block.type === 'tool_use'
      ? [{ id: block.id, function: { name: block.name, arguments: JSON.stringify(block.input) } }]
      : [],
  );
  return {
    role: 'assistant',
    content: texts.join('\n'),
    ...(thoughts.length > 0 ? { reasoning_content: thoughts.join('\n') } : {}),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
}

function textOf(content: string | readonly { readonly text: string }[]): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('\n');
}
