import { expect, it } from 'vitest';
import { redact } from './redact.js';

it('hides every secret, however deep, and leaves what names one', () => {
  const createdAt = new Date(0);
  expect(
    redact({
      id: 'k1',
      key: 'lk_x',
      key_id: 'k1',
      token: null,
      sha256: 'ab',
      weights_sha256: 'cd',
      max_tokens: 3,
      prompt_tokens: 7,
      hook: [
        { secret: 'whsec_x', secrets: ['whsec_y'], accessToken: 'y', url: 'https://user:pass@host/path' },
      ],
      createdAt,
      gone: undefined,
    }),
  ).toEqual({
    id: 'k1',
    key: '[secret]',
    key_id: 'k1',
    token: null,
    sha256: '[secret]',
    weights_sha256: 'cd',
    max_tokens: 3,
    prompt_tokens: 7,
    hook: [
      { secret: '[secret]', secrets: '[secret]', accessToken: '[secret]', url: 'https://[secret]@host/path' },
    ],
    createdAt: createdAt.toISOString(),
  });
});
