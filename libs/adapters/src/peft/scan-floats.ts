import type { FloatDtype } from '#safetensors/floats.js';

/*
 * Looks at floats through integers: an exponent of all ones is NaN or an infinity, and a number without its sign bit is
 * zero only if all bits are. That needs no conversion for the 16-bit types. Typed arrays read in the machine's byte order,
 * which on every platform of Node.js that this runs on is the format's, little-endian.
 */

export const isFloatDtype = (dtype: string): dtype is FloatDtype =>
  dtype === 'F32' || dtype === 'BF16' || dtype === 'F16' || dtype === 'F64';

export interface FloatFindings {
  /** The largest number by its magnitude; absent when all are zero. */
  readonly largest: { readonly index: number; readonly magnitude: number } | undefined;
  /** The first element that no float32 can hold as a number. */
  readonly notFinite: { readonly index: number; readonly value: number } | undefined;
}

/** `bytes` hold whole elements. */
export function scanFloats(dtype: FloatDtype, bytes: Uint8Array): FloatFindings {
  switch (dtype) {
    case 'F32':
      return scanWords(view(Uint32Array, bytes), F32);
    case 'F16':
      return scanWords(view(Uint16Array, bytes), F16);
    case 'BF16':
      return scanWords(view(Uint16Array, bytes), BF16);
    case 'F64':
      return scanDoubles(view(Float64Array, bytes));
  }
}

/** Without its sign, a larger float has the larger bits. */
function scanWords(
  words: Uint32Array | Uint16Array,
  { magnitudeMask, infinity, mantissaMask, valueOf }: WordFormat,
): FloatFindings {
  let most = 0;
  let at = 0;
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? 0;
    const magnitude = word & magnitudeMask;
    if (magnitude <= most) continue;
    if (magnitude < infinity) {
      most = magnitude;
      at = index;
      continue;
    }
    const sign = (word & ~magnitudeMask) === 0 ? 1 : -1;
    const value = (magnitude & mantissaMask) === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return { largest: { index, magnitude: Number.POSITIVE_INFINITY }, notFinite: { index, value } };
  }
  return {
    largest: most === 0 ? undefined : { index: at, magnitude: valueOf(most) },
    notFinite: undefined,
  };
}

interface WordFormat {
  readonly magnitudeMask: number;
  readonly infinity: number;
  readonly mantissaMask: number;
  /** Of a number's bits without its sign. */
  readonly valueOf: (bits: number) => number;
}
const scratch = new DataView(new ArrayBuffer(4));
function float32(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}
function float16(bits: number): number {
  const [exponent, mantissa] = [bits >> 10, bits & 0x3ff];
  return exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
const F32: WordFormat = {
  magnitudeMask: 0x7fffffff,
  infinity: 0x7f800000,
  mantissaMask: 0x007fffff,
  valueOf: float32,
};
const F16: WordFormat = { magnitudeMask: 0x7fff, infinity: 0x7c00, mantissaMask: 0x03ff, valueOf: float16 };
const BF16: WordFormat = {
  magnitudeMask: 0x7fff,
  infinity: 0x7f80,
  mantissaMask: 0x007f,
  valueOf: (bits) => float32(bits << 16),
};

/** The engine computes in float32, so a double beyond its range is an infinity, and one below it zero. */
function scanDoubles(values: Float64Array): FloatFindings {
  let largest: FloatFindings['largest'];
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    const magnitude = Math.abs(Math.fround(value));
    if (!Number.isFinite(magnitude)) {
      return { largest: { index, magnitude: Number.POSITIVE_INFINITY }, notFinite: { index, value } };
    }
    if (magnitude > (largest?.magnitude ?? 0)) largest = { index, magnitude };
  }
  return { largest, notFinite: undefined };
}

interface WordArray<T> {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

/** The bytes as words; copied only where they start between two words. */
function view<T>(Words: WordArray<T>, bytes: Uint8Array): T {
  const aligned = bytes.byteOffset % Words.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new Words(aligned.buffer, aligned.byteOffset, aligned.length / Words.BYTES_PER_ELEMENT);
}
