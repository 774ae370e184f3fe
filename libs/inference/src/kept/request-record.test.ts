import { expect, it } from 'vitest';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest } from '../../../../test/support/generate-request.js';
import type { GenerationPlan } from '../plan/generation-plan.js';
import { RequestRecord } from './request-record.js';

function recordedOf(input: GenerateRequest['input'], text = true) {
  const plan = { sequences: [{ request: generateRequest(input) }] } as unknown as GenerationPlan;
  return new RequestRecord(plan, text).recorded;
}

it.each([
  ['a prompt', { kind: 'text', text: 'a', addSpecialTokens: true }, { prompt: 'a' }],
  [
    'a prompt with a suffix',
    { kind: 'text', text: 'a', suffix: 'b', addSpecialTokens: true },
    { prompt: 'a', suffix: 'b' },
  ],
  ['tokens', { kind: 'tokens', tokens: [1, 2] }, { prompt: [1, 2] }],
  [
    'messages',
    { kind: 'chat', conversation: '{"messages":[{"role":"user","content":"a"}],"tools":[]}' },
    { messages: [{ role: 'user', content: 'a' }] },
  ],
] as const)('keeps %s, where text may be kept', (_, input, kept) => {
  expect(recordedOf(input as unknown as GenerateRequest['input']).input).toEqual(kept);
  expect(recordedOf(input as unknown as GenerateRequest['input'], false).input).toBeNull();
});

it('keeps no half of a prompt, and says so', () => {
  const long = recordedOf({ kind: 'text', text: 'a'.repeat(32_768), addSpecialTokens: true });
  expect([long.input, long.text_cut]).toEqual([null, true]);
});
