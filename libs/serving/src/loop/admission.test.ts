import { describe, expect, it } from 'vitest';
import { completionLimit, limitsFor } from './admission.js';

const limits = { vocabSize: 100, maxContext: 32 };

describe('admission', () => {
  it('gives the rest of the context when no maximum is asked for, and never more', () => {
    expect(completionLimit(10, undefined, limits)).toBe(22);
    expect(completionLimit(10, 1000, limits)).toBe(22);
    expect(completionLimit(10, 5, limits)).toBe(5);
  });

  it("keeps a request to its own maximum, never to more than the model's", () => {
    expect(completionLimit(10, undefined, limitsFor({ maxContext: 16 }, limits))).toBe(6);
    expect(completionLimit(10, undefined, limitsFor({ maxContext: 64 }, limits))).toBe(22);
    expect(() => completionLimit(20, 5, limitsFor({ maxContext: 16 }, limits))).toThrow('may have 16 in all');
  });

  it('refuses a prompt that leaves no room for the completion', () => {
    expect(() => completionLimit(32, 1, limits)).toThrow('The prompt has 32 tokens');
    expect(() => completionLimit(33, 0, limits)).toThrow('may have 32 in all');
    expect(completionLimit(32, 0, limits)).toBe(0);
  });

  it('refuses an empty prompt', () => {
    expect(() => completionLimit(0, 5, limits)).toThrow('The prompt is empty');
  });
});
