import type { GenerateRequest } from './engine-protocol.js';
import { RawJson } from './raw-json.js';

/** A message as chat templates know it; members that are undefined are not there. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string | undefined;
  readonly tool_calls?: readonly unknown[] | undefined;
  readonly tool_call_id?: string | undefined;
  readonly reasoning?: string | undefined;
  readonly reasoning_content?: string | undefined;
}

export interface ChatConversation {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[] | undefined;
  /** What a template for retrieval shows to the model. */
  readonly documents?: readonly unknown[] | undefined;
  /** Further variables for the template. */
  readonly templateArguments?: Readonly<Record<string, unknown>> | undefined;
  readonly addGenerationPrompt: boolean;
  /** Leave the last message open, to be gone on with. */
  readonly continueFinalMessage?: boolean | undefined;
}

type ChatInput = Extract<GenerateRequest['input'], { kind: 'chat' }>;

/** A chat as the engine takes it. */
export function chatInput(chat: ChatConversation): ChatInput {
  const { messages, tools, documents, templateArguments, addGenerationPrompt, continueFinalMessage } = chat;
  return {
    kind: 'chat',
    conversation: conversationText(messages, { tools, documents, arguments: templateArguments }),
    messageCount: messages.length,
    hasTools: tools !== undefined,
    addGenerationPrompt,
    ...(continueFinalMessage ? { continueFinalMessage } : {}),
  };
}

/** Chats of thousands of messages are common enough, and the event loop waits: only what may hold RawJson is walked. */
function conversationText(messages: readonly ChatMessage[], rest: object): string {
  const texts = messages.map((message) => (message.tool_calls ? jsonText(message) : JSON.stringify(message)));
  const others = jsonText(rest).slice(1);
  return `{"messages":[${texts.join(',')}]${others === '}' ? '' : ','}${others}`;
}

function jsonText(value: unknown): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `${JSON.stringify(name)}:${jsonText(member)}`);
  return `{${members.join(',')}}`;
}
