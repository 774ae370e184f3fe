import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, manifestDigest } from './canonical-json.js';

describe('canonical JSON', () => {
  it('does not depend on the order of keys', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'é' }], a: undefined, A: -0 })).toBe(
      '{"A":0,"b":[1,{"c":"é","d":null}]}',
    );
  });

  it('keeps the value', () => {
    const property = fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      const again: unknown = JSON.parse(canonicalJson(value));
      return canonicalJson(again) === canonicalJson(value);
    });
    expect(() => fc.assert(property)).not.toThrow();
  });

  it('refuses what JSON cannot say', () => {
    expect(() => canonicalJson([Number.NaN])).toThrow(TypeError);
    expect(() => canonicalJson([undefined])).toThrow(TypeError);
  });

  it('gives a manifest its identity', () => {
    const manifest = {
      format: 'lorikeet.adapter.v1' as const,
      base: 'b',
      weights: { sha256: 'a', bytes: 1 },
      modules: [],
    };
    const digest = manifestDigest(manifest);
    expect(digest).toBe('e63966caa09f3916fb49f19859e40df1c29f1bf1ac4569b87f37b54446e3a320');
    expect(manifestDigest({ ...manifest, base: 'c' })).not.toBe(digest);
  });
});
