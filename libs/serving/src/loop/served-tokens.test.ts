import { describe, expect, it } from 'vitest';
import { ServedTokens } from './served-tokens.js';

describe('served tokens', () => {
  it('starts a newcomer at the level of those who are active', () => {
    const served = new ServedTokens();
    served.enter('a');
    served.charge('a', 1000);
    served.enter('b');
    expect(served.of('b')).toBe(1000);
  });

  it('lets nobody shed what was served to him by leaving for a moment', () => {
    const served = new ServedTokens();
    served.enter('a');
    served.enter('b');
    served.charge('a', 500);
    served.leave('a');
    served.enter('a');
    expect(served.of('a')).toBe(500);
  });

  it('forgets idle keys, so that its memory is bounded by those who are active', () => {
    const served = new ServedTokens();
    served.enter('steady');
    for (let i = 0; i < 50_000; i++) {
      served.enter(`visitor-${i}`);
      served.charge(`visitor-${i}`, 10);
      served.leave(`visitor-${i}`);
      served.charge('steady', 10);
    }
    expect(served.keys).toBeLessThan(11_000);
  });
});
