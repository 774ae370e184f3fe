import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStrictJson, StrictJsonError, type StrictJsonErrorCode } from './strict-json.js';

function codeOf(text: string): StrictJsonErrorCode | 'valid' {
  try {
    parseStrictJson(text);
    return 'valid';
  } catch (error) {
    if (error instanceof StrictJsonError) return error.code;
    throw error;
  }
}

describe('strict JSON', () => {
  it.each<[string, StrictJsonErrorCode]>([
    ['', 'syntax'],
    ['{', 'syntax'],
    ['[1,]', 'syntax'],
    ['{"a" 1}', 'syntax'],
    ["{'a':1}", 'syntax'],
    ['01', 'syntax'],
    ['1.', 'syntax'],
    ['.5', 'syntax'],
    ['+1', 'syntax'],
    ['-', 'syntax'],
    ['tru', 'syntax'],
    ['"\t"', 'syntax'],
    ['"\\x"', 'syntax'],
    ['"\\u12g4"', 'syntax'],
    ['"abc', 'syntax'],
    ['\u00a01', 'syntax'],
    ['{"a":1,"b":{"c":1,"c":2}}', 'duplicate_key'],
    ['{"__proto__":1,"__proto__":2}', 'duplicate_key'],
    ['NaN', 'not_a_number'],
    ['[-Infinity]', 'not_a_number'],
    ['1e999', 'number_out_of_range'],
    ['9007199254740993', 'number_out_of_range'],
    ['"\\udc00\\ud800"', 'lone_surrogate'],
    ['['.repeat(70) + ']'.repeat(70), 'too_deep'],
  ])('refuses %s as %s', (text, code) => {
    expect(codeOf(text)).toBe(code);
  });

  it('says where', () => {
    expect(() => parseStrictJson('{"a":{"b":1,"b":2}}')).toThrow('"b" occurs twice at offset 12 (in a.b)');
  });

  it('reads what JSON.parse reads', () => {
    const same = fc.property(fc.json(), (text) => {
      const found = codeOf(text);
      if (found !== 'valid') return found !== 'syntax' && found !== 'not_a_number';
      return JSON.stringify(parseStrictJson(text)) === JSON.stringify(JSON.parse(text));
    });
    expect(() => fc.assert(same)).not.toThrow();
  });

  it('never accepts what JSON.parse refuses', () => {
    const text = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0019.eE+-tfn truefalsn \n') });
    const refused = fc.property(text, (text) => {
      if (codeOf(text) === 'valid') JSON.parse(text);
    });
    expect(() => fc.assert(refused, { numRuns: 5000 })).not.toThrow();
  });
});
