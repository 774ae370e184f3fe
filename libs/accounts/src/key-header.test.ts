import { describe, expect, it } from 'vitest';
import { keyOf, showsKey } from './key-header.js';

describe('the key of a request', () => {
  it.each([
    [{ authorization: 'Bearer lk_a' }, 'lk_a'],
    [{ authorization: 'bearer  lk_a ' }, 'lk_a'],
    [{ 'x-api-key': 'lk_b' }, 'lk_b'],
    [{ authorization: 'Bearer lk_a', 'x-api-key': 'lk_b' }, 'lk_a'],
  ])('of %o is %s', (headers, key) => {
    expect(keyOf(headers)).toBe(key);
    expect(showsKey(headers)).toBe(true);
  });

  it.each([[{ authorization: 'Basic x', 'x-api-key': 'lk_b' }], [{ 'x-api-key': 'two words' }]])(
    'is none in %o, which goes for a session no more',
    (headers) => {
      expect(() => keyOf(headers)).toThrow('An API key is required');
      expect(showsKey(headers)).toBe(true);
    },
  );

  it('is not shown by a cookie alone', () => {
    expect(showsKey({ cookie: 'lorikeet_session=x' })).toBe(false);
  });
});
