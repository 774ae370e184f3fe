/*
 * Looks at floats through integers: an exponent of all ones is NaN or an infinity, and a number without its sign bit is
 * zero only if all bits are. That needs no conversion for the 16-bit types. Typed arrays read in the machine's byte order,
 * which on every platform of Node.js that this runs on is the format's, little-endian.
 */

export type FloatDtype = 'F64' | 'F32' | 'F16' | 'BF16';
export const isFloatDtype = (dtype: string): dtype is FloatDtype =>
  dtype === 'F32' || dtype === 'BF16' || dtype === 'F16' || dtype === 'F64';

export interface FloatFindings {
  readonly nonZero: boolean;
  /** The first element that no float32 can hold as a number. */
  readonly notFinite: { readonly index: number; readonly value: number } | undefined;
}

/** `bytes` hold whole elements. */
export function scanFloats(dtype: FloatDtype, bytes: Uint8Array): FloatFindings {
  switch (dtype) {
    case 'F32':
      return scanWords(view(Uint32Array, bytes), 0x7fffffff, 0x7f800000, 0x007fffff);
    case 'F16':
      return scanWords(view(Uint16Array, bytes), 0x7fff, 0x7c00, 0x03ff);
    case 'BF16':
      return scanWords(view(Uint16Array, bytes), 0x7fff, 0x7f80, 0x007f);
    case 'F64':
      return scanDoubles(view(Float64Array, bytes));
  }
}

function scanWords(
  words: Uint32Array | Uint16Array,
  magnitudeMask: number,
  infinity: number,
  mantissaMask: number,
): FloatFindings {
  let seen = 0;
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? 0;
    const magnitude = word & magnitudeMask;
    seen |= magnitude;
    if (magnitude < infinity) continue;
    const sign = (word & ~magnitudeMask) === 0 ? 1 : -1;
    const value = (magnitude & mantissaMask) === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return { nonZero: true, notFinite: { index, value } };
  }
  return { nonZero: seen !== 0, notFinite: undefined };
}

/** The engine computes in float32, so a double beyond its range is an infinity. */
function scanDoubles(values: Float64Array): FloatFindings {
  let nonZero = false;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    if (!Number.isFinite(Math.fround(value))) return { nonZero: true, notFinite: { index, value } };
    if (value !== 0) nonZero = true;
  }
  return { nonZero, notFinite: undefined };
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
