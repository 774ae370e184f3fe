import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPE_BITS, type Dtype } from './dtype.js';
import { SAFETENSORS_ERROR_CODES, SafetensorsError, type SafetensorsErrorCode } from './error.js';
import { readSafetensors } from './reader.js';
import { SafetensorsValidator } from './validator.js';
import { type TensorData, writeSafetensors } from './writer.js';

/** A file with this header text and this many data bytes. */
function file(header: string | Uint8Array, dataBytes = 0, claimedBytes?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimedBytes ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const tensor = (dtype: string, shape: unknown, offsets: unknown, more = '') =>
  `{"dtype":"${dtype}","shape":${JSON.stringify(shape)},"data_offsets":${JSON.stringify(offsets)}${more}}`;

function codeOf(bytes: Uint8Array): { code: SafetensorsErrorCode; tensor: string | undefined } | 'valid' {
  try {
    readSafetensors(bytes);
    return 'valid';
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
    if (!Object.hasOwn(SAFETENSORS_ERROR_CODES, error.code)) throw error;
    return { code: error.code, tensor: error.details.tensor };
  }
}

describe('a file that is not safetensors', () => {
  const f32 = tensor('F32', [2], [0, 8]);
  const cases: [string, Uint8Array, SafetensorsErrorCode, string?][] = [
    ['empty', new Uint8Array(0), 'header_truncated'],
    ['shorter than the length', new Uint8Array(7), 'header_truncated'],
    ['shorter than its header', file('{}', 0, 10n), 'header_truncated'],
    ['a header of 0 bytes', new Uint8Array(8), 'header_not_object'],
    ['a header beyond the limit', file('{}', 0, 100_000_001n), 'header_too_large'],
    ['a header of 2^64 - 1 bytes', file('{}', 0, 2n ** 64n - 1n), 'header_too_large'],
    ['a pickle', file('\u0080\u0004K*.'), 'header_not_object'],
    ['space before the header', file(' {}'), 'header_not_object'],
    ['an array', file('[]'), 'header_not_object'],
    ['a byte order mark', file('\ufeff{}'), 'header_not_object'],
    ['bad UTF-8', file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), 'header_not_utf8'],
    ['unclosed JSON', file('{"a":'), 'header_json_invalid', 'a'],
    ['a trailing comma', file('{"a":1,}'), 'header_json_invalid'],
    ['a comment', file('{}//'), 'header_json_invalid'],
    ['a second value', file('{}{}'), 'header_json_invalid'],
    ['half a surrogate pair', file('{"\\ud800":1}'), 'header_json_invalid'],
    ['nesting beyond need', file(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`), 'header_json_invalid', 'a'],
    ['a duplicate tensor', file(`{"a":${f32},"a":${f32}}`, 8), 'duplicate_key', 'a'],
    ['a duplicate tensor, one escaped', file(`{"a":${f32},"\\u0061":${f32}}`, 8), 'duplicate_key', 'a'],
    [
      'a duplicate key inside',
      file(`{"a":${tensor('F32', [2], [0, 8], ',"dtype":"F16"')}}`, 8),
      'duplicate_key',
      'a',
    ],
    ['metadata as a list', file('{"__metadata__":[]}'), 'metadata_invalid'],
    ['metadata with a number', file('{"__metadata__":{"a":1}}'), 'metadata_invalid'],
    ['an entry that is a number', file('{"a":1}'), 'tensor_entry_invalid', 'a'],
    [
      'an entry with an extra key',
      file(`{"a":${tensor('F32', [2], [0, 8], ',"x":1')}}`, 8),
      'tensor_entry_invalid',
      'a',
    ],
    [
      'an entry without dtype',
      file('{"a":{"shape":[],"data_offsets":[0,4]}}', 4),
      'tensor_entry_invalid',
      'a',
    ],
    ['an unknown dtype', file(`{"a":${tensor('F33', [2], [0, 8])}}`, 8), 'dtype_unknown', 'a'],
    ['a dtype of the prototype', file(`{"a":${tensor('toString', [2], [0, 8])}}`, 8), 'dtype_unknown', 'a'],
    ['a negative size', file(`{"a":${tensor('F32', [-2], [0, 8])}}`, 8), 'shape_invalid', 'a'],
    ['a fractional size', file(`{"a":${tensor('F32', [2.5], [0, 8])}}`, 8), 'shape_invalid', 'a'],
    ['a size in words', file(`{"a":${tensor('F32', ['2'], [0, 8])}}`, 8), 'shape_invalid', 'a'],
    [
      'a shape that overflows',
      file(`{"a":${tensor('F32', [2 ** 52, 2 ** 52], [0, 8])}}`, 8),
      'shape_invalid',
      'a',
    ],
    [
      'an overflow hidden by a zero',
      file(`{"a":${tensor('F32', [2 ** 52, 2 ** 52, 0], [0, 0])}}`),
      'shape_invalid',
      'a',
    ],
    ['half a byte', file(`{"a":${tensor('F4', [1], [0, 1])}}`, 1), 'shape_invalid', 'a'],
    [
      'a number beyond 2^53',
      file('{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]}}', 1),
      'header_json_invalid',
      'a',
    ],
    ['one offset', file(`{"a":${tensor('F32', [2], [0])}}`, 8), 'offsets_invalid', 'a'],
    ['three offsets', file(`{"a":${tensor('F32', [2], [0, 8, 8])}}`, 8), 'offsets_invalid', 'a'],
    ['a negative offset', file(`{"a":${tensor('F32', [2], [-8, 0])}}`, 8), 'offsets_invalid', 'a'],
    ['offsets backwards', file(`{"a":${tensor('F32', [2], [8, 0])}}`, 8), 'offsets_invalid', 'a'],
    ['a span that is too short', file(`{"a":${tensor('F32', [2], [0, 4])}}`, 4), 'size_mismatch', 'a'],
    ['a span that is too long', file(`{"a":${tensor('F16', [2], [0, 8])}}`, 8), 'size_mismatch', 'a'],
    ['an overlap', file(`{"a":${f32},"b":${tensor('F32', [2], [4, 12])}}`, 12), 'tensor_overlap', 'b'],
    ['two tensors on the same bytes', file(`{"a":${f32},"b":${f32}}`, 8), 'tensor_overlap', 'b'],
    ['a hole at the start', file(`{"a":${tensor('F32', [2], [4, 12])}}`, 12), 'data_hole', 'a'],
    ['a hole in the middle', file(`{"a":${f32},"b":${tensor('F32', [2], [12, 20])}}`, 20), 'data_hole', 'b'],
    ['a truncated tensor', file(`{"a":${f32}}`, 7), 'data_truncated', 'a'],
    ['a trailing byte', file(`{"a":${f32}}`, 9), 'trailing_bytes'],
  ];
  it.each(cases)('names what is wrong: %s', (_, bytes, code, name) => {
    expect(codeOf(bytes)).toEqual({ code, tensor: name });
  });
});

describe('a valid file', () => {
  it('may pad its header, hold no tensor, scalars and empty tensors', () => {
    const scalar = tensor('F64', [], [0, 8]);
    const empty = tensor('F32', [0, 4], [8, 8]);
    const header = readSafetensors(file(`{"s":${scalar}, "e":${empty}}  \n `, 8)).header;
    expect(header.tensors.map((t) => [t.name, t.end - t.begin])).toEqual([
      ['s', 8],
      ['e', 0],
    ]);
    expect(readSafetensors(file('{}')).header.tensors).toEqual([]);
  });

  it('keeps names that JavaScript objects trip over', () => {
    const names = ['__proto__', 'constructor', '10', '2', 'é🙂'];
    const bytes = writeSafetensors(
      names.map((name) => ({ name, dtype: 'U8', shape: [1], bytes: new Uint8Array(1) })),
    );
    expect(readSafetensors(bytes).header.tensors.map((t) => t.name)).toEqual([...names].sort());
  });

  it('keeps its metadata', () => {
    const bytes = writeSafetensors([], { format: 'pt', __proto__x: 'y' });
    expect([...readSafetensors(bytes).header.metadata]).toEqual([
      ['format', 'pt'],
      ['__proto__x', 'y'],
    ]);
  });
});

const dtypes = (Object.keys(DTYPE_BITS) as Dtype[]).filter((dtype) => DTYPE_BITS[dtype] % 8 === 0);
const arbitraryTensors: fc.Arbitrary<TensorData[]> = fc.uniqueArray(
  fc
    .record({
      name: fc.string({ minLength: 1, unit: 'grapheme' }),
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      seed: fc.nat(255),
    })
    .filter(({ name }) => name !== '__metadata__')
    .map(({ name, dtype, shape, seed }) => {
      const bytes = (shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[dtype]) / 8;
      return {
        name,
        dtype,
        shape,
        bytes: Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + seed) & 255),
      };
    }),
  { selector: (t) => t.name, maxLength: 6 },
);

/** Pushes the file in pieces of these sizes. */
function validateInPieces(bytes: Uint8Array, sizes: readonly number[]) {
  const validator = new SafetensorsValidator();
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length] ?? 1;
    validator.push(bytes.subarray(at, at + size));
    at += size;
  }
  return validator.finish();
}

describe('whatever the tensors', () => {
  it('reads back what was written', () => {
    fc.assert(
      fc.property(arbitraryTensors, (tensors) => {
        const read = readSafetensors(writeSafetensors(tensors));
        expect(read.header.tensors).toHaveLength(tensors.length);
        for (const { name, dtype, shape, bytes } of tensors) {
          expect(read.info(name)).toMatchObject({ name, dtype, shape });
          expect(read.bytes(name)).toEqual(bytes);
        }
      }),
    );
  });

  it('finds the same however the chunks are cut', () => {
    fc.assert(
      fc.property(
        arbitraryTensors,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (tensors, sizes) => {
          const bytes = writeSafetensors(tensors);
          expect(validateInPieces(bytes, sizes)).toEqual(readSafetensors(bytes).header);
        },
      ),
    );
  });

  it('answers a clean error or a valid header for any flipped, cut or doubled bytes', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 });
    const clean = fc.property(arbitraryTensors, flips, fc.option(fc.nat()), (tensors, flips, cut) => {
      const bytes = writeSafetensors(tensors);
      for (const [at, value] of flips) bytes[at % bytes.length] = value;
      const mutated = cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
      if (codeOf(mutated) !== 'valid') return true;
      const { header } = readSafetensors(mutated);
      const covered = header.tensors.reduce((sum, t) => sum + t.end - t.begin, header.dataStart);
      return header.fileBytes === mutated.length && covered === mutated.length;
    });
    expect(() => fc.assert(clean, { numRuns: 2000 })).not.toThrow();
  });
});

describe('the writer', () => {
  it('refuses a name twice and bytes that do not fit the shape', () => {
    const one: TensorData = { name: 'a', dtype: 'F32', shape: [1], bytes: new Uint8Array(4) };
    expect(() => writeSafetensors([one, one])).toThrow('taken');
    expect(() => writeSafetensors([{ ...one, shape: [2] }])).toThrow('disagree');
  });
});
