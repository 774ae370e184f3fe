import { describe, expect, it } from 'vitest';
import { SecretBox } from './secret-box.js';

const [OLD, NEW] = ['the old key, at least 32 characters', 'the new key, at least 32 characters'];

describe('SecretBox', () => {
  it('gives back what it sealed, and never seals twice alike', () => {
    const box = new SecretBox([OLD]);
    const sealed = box.seal('whsec_abc', 'row-1');
    expect(sealed).not.toContain('abc');
    expect(box.seal('whsec_abc', 'row-1')).not.toBe(sealed);
    expect(box.open(sealed, 'row-1')).toBe('whsec_abc');
  });

  it('opens nothing of another row, nothing that was changed, and nothing of an unknown key', () => {
    const box = new SecretBox([OLD]);
    const sealed = box.seal('whsec_abc', 'row-1');
    expect(() => box.open(sealed, 'row-2')).toThrow('authenticate');
    expect(() => box.open(`${sealed.slice(0, -2)}AA`, 'row-1')).toThrow('authenticate');
    expect(() => new SecretBox([NEW]).open(sealed, 'row-1')).toThrow('SECRETS_KEY');
  });

  it('opens what an older key sealed and seals with the newest', () => {
    const sealed = new SecretBox([OLD]).seal('whsec_abc', 'row-1');
    const both = new SecretBox([NEW, OLD]);
    expect(both.open(sealed, 'row-1')).toBe('whsec_abc');
    expect(new SecretBox([NEW]).open(both.seal('x', 'row-1'), 'row-1')).toBe('x');
  });
});
