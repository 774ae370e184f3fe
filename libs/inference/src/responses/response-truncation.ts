import type { ChatRequest } from '#contracts/openai/chat-request.js';

type Message = ChatRequest['messages'][number];

/**
 * The chat without so many of its oldest messages that `fits` says yes; with the fewest, if it says yes to none. What
 * the system says stays, and an output of a tool goes with its call.
 */
export async function withoutOldest(
  chat: ChatRequest,
  fits: (chat: ChatRequest) => Promise<boolean>,
): Promise<ChatRequest> {
  if (await fits(chat)) return chat;
  const firsts = possibleFirsts(chat.messages);
  let [low, high] = [0, firsts.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await fits(from(chat, firsts[middle]))) high = middle;
    else low = middle + 1;
  }
  return from(chat, firsts[low]);
}

function isSystem({ role }: Message): boolean {
  return role === 'system' || role === 'developer';
}

/** Where a shorter conversation may begin. */
function possibleFirsts(messages: readonly Message[]): number[] {
  const last = messages.length - 1;
  return [...messages.keys()].filter((at) => {
    const message = messages[at] as Message;
    return at === last || (at > 0 && !isSystem(message) && message.role !== 'tool');
  });
}

function from(chat: ChatRequest, first = 0): ChatRequest {
  const messages = chat.messages.filter((message, at) => at >= first || isSystem(message));
  return Object.assign({}, chat, { messages });
}
