import { readJson } from '../json-reader.js';
import { isText, plain } from '../text.js';
import { Dict, type Value } from '../values.js';
import { withTag } from './final-message.js';

/** A chat to be rendered. */
export interface Chat {
  /** JSON text of an object: `messages`, and optionally `tools`, `documents` and `arguments` (further variables). */
  readonly conversation: string;
  readonly addGenerationPrompt: boolean;
  /** The last message's text is open; absent: no. */
  readonly continueFinalMessage?: boolean | undefined;
  /** bos_token, eos_token, ... by name: the base model's own, so what they spell are control tokens. */
  readonly specialTokens: Readonly<Record<string, string>>;
}

/** Roles that templates build control tokens of (`<|user|>`); any other role is text like the rest of a message. */
const ROLES: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant', 'tool']);

/** The variables as Transformers gives them to a template. All texts of the conversation are marked as from outside. */
export function chatValues(chat: Chat): Map<string, Value> {
  const { conversation, addGenerationPrompt, continueFinalMessage, specialTokens } = chat;
  const given = readJson(conversation, true);
  if (!(given instanceof Dict)) throw new TypeError('the conversation is no JSON object');
  const messages = given.get('messages') ?? null;
  const named = Array.isArray(messages) ? messages.map(withOwnRole) : messages;
  const values = new Map<string, Value>([
    ['messages', continueFinalMessage ? withTag(named) : named],
    ['tools', given.get('tools') ?? null],
    ['documents', given.get('documents') ?? null],
    ['add_generation_prompt', addGenerationPrompt],
    ...Object.entries(specialTokens),
  ]);
  const further = given.get('arguments');
  if (further instanceof Dict) {
    for (const [name, value] of further.entries()) if (isText(name)) values.set(plain(name), value);
  }
  return values;
}

function withOwnRole(message: Value): Value {
  if (message instanceof Dict) {
    const role = message.get('role');
    if (isText(role) && ROLES.has(plain(role))) message.set('role', plain(role));
  }
  return message;
}
