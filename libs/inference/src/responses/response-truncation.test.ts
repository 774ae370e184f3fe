import { expect, it } from 'vitest';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import { withoutOldest } from './response-truncation.js';

const message = (role: string, content: string) => ({ role, content }) as ChatRequest['messages'][number];
const chat = {
  model: 'm',
  messages: [
    message('system', 's'),
    message('user', 'u1'),
    message('assistant', 'a1'),
    message('tool', 't1'),
    message('assistant', 'a2'),
    message('developer', 'd'),
    message('user', 'u2'),
  ],
} as ChatRequest;
const namesOf = ({ messages }: ChatRequest) => messages.map(({ content }) => content).join(' ');
const fitting = (most: number) => withoutOldest(chat, async ({ messages }) => messages.length <= most);

it('leaves a chat that fits as it is', async () => {
  expect(await fitting(7)).toBe(chat);
});

it.each([
  [6, 's a1 t1 a2 d u2'],
  [5, 's a2 d u2'], // an output of a tool goes with its call
  [4, 's a2 d u2'],
  [3, 's d u2'],
  [1, 's d u2'], // what the system says and the last message stay
])('takes as little away as makes %i messages fit', async (most, kept) => {
  expect(namesOf(await fitting(most))).toBe(kept);
});
