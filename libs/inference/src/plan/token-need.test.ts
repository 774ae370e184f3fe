import { describe, expect, it } from 'vitest';
import { chatInput } from '#contracts/chat-input.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import type { Sequence } from './generation-plan.js';
import { tokenNeed } from './token-need.js';

const sequence = (prompt: number, input: GenerateRequest['input'], maxTokens?: number) =>
  ({ prompt, request: { input, ...(maxTokens === undefined ? {} : { maxTokens }) } }) as Sequence;
const tokens = (count: number) => ({ kind: 'tokens' as const, tokens: Array<number>(count).fill(1) });

describe('tokenNeed', () => {
  it('counts a prompt once and every alternative', () => {
    const sequences = [0, 0, 1].map((prompt) => sequence(prompt, tokens(10), 5));
    expect(tokenNeed(sequences, 1000)).toEqual({ tokens: 20 + 15, stated: true });
  });

  it('never counts more than the context holds', () => {
    expect(tokenNeed([sequence(0, tokens(10), 1_000_000)], 100).tokens).toBe(100);
    expect(tokenNeed([sequence(0, tokens(500), 10)], 100).tokens).toBe(100);
  });

  it('keeps a bounded number for a completion of no stated length', () => {
    expect(tokenNeed([sequence(0, tokens(10))], 100_000)).toEqual({ tokens: 10 + 1024, stated: false });
  });

  it('guesses the tokens of text by its bytes', () => {
    expect(tokenNeed([sequence(0, { kind: 'text', text: 'abcdefgh' }, 0)], 100).tokens).toBe(2);
    const messages = [{ role: 'user', content: 'abcdefgh' }];
    const chat = chatInput({ messages, addGenerationPrompt: true });
    expect(tokenNeed([sequence(0, chat, 0)], 100).tokens).toBe(Math.ceil(chat.conversation.length / 4));
  });
});
