/** Types of elements that are numbers with a fraction, of more than 8 bits. */
export type FloatDtype = 'F64' | 'F32' | 'F16' | 'BF16';

/* Elements of safetensors files as numbers and back. The machine's byte order is the format's, little-endian. */

/** `bytes` hold whole elements. Elements of F64 are rounded to float32. */
export function decodeFloats(dtype: FloatDtype, bytes: Uint8Array): Float32Array {
  const aligned = new Uint8Array(bytes); // a copy, which begins at a multiple of 8 and owns its buffer
  switch (dtype) {
    case 'F32':
      return new Float32Array(aligned.buffer);
    case 'F64':
      return Float32Array.from(new Float64Array(aligned.buffer));
    case 'BF16': {
      const bits = Uint32Array.from(new Uint16Array(aligned.buffer), (half) => half << 16);
      return new Float32Array(bits.buffer);
    }
    case 'F16':
      return Float32Array.from(new Uint16Array(aligned.buffer), (half) => halfValues()[half] ?? 0);
  }
}

/** Rounds to the nearest, ties to even. */
export function encodeFloats(dtype: FloatDtype, values: Float32Array): Uint8Array {
  switch (dtype) {
    case 'F32':
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    case 'F64':
      return new Uint8Array(Float64Array.from(values).buffer);
    case 'BF16': {
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      return new Uint8Array(Uint16Array.from(bits, brainBits).buffer);
    }
    case 'F16': {
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      return new Uint8Array(Uint16Array.from(bits, halfBits).buffer);
    }
  }
}

/** What is left of float32 values once they are stored as `dtype`. */
export function roundedTo(dtype: FloatDtype, values: Float32Array): Float32Array {
  return dtype === 'F32' || dtype === 'F64' ? values : decodeFloats(dtype, encodeFloats(dtype, values));
}

function brainBits(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40; // NaN stays one
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to more than 65504
  if (magnitude >= 0x38800000) {
    const rebiased = magnitude - 0x38000000;
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  // Below 2^-14 halves are multiples of 2^-24.
  const multiple = wordValue(magnitude) * 2 ** 24;
  const floor = Math.floor(multiple);
  const rest = multiple - floor;
  return sign | (floor + Number(rest > 0.5 || (rest === 0.5 && (floor & 1) === 1)));
}

const oneWord = new Uint32Array(1);
const oneValue = new Float32Array(oneWord.buffer);
function wordValue(word: number): number {
  oneWord[0] = word;
  return oneValue[0] ?? 0;
}

let halves: Float32Array | undefined;
function halfValues(): Float32Array {
  halves ??= Float32Array.from({ length: 65_536 }, (_, half) => {
    const [exponent, fraction] = [(half >>> 10) & 31, half & 1023];
    const magnitude =
      exponent === 31
        ? fraction === 0
          ? Number.POSITIVE_INFINITY
          : Number.NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return half >= 32_768 ? -magnitude : magnitude;
  });
  return halves;
}

/** [rows, columns] to [columns, rows]. */
export function turned(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return Float32Array.from(
    values,
    (_, at) => values[(at % rows) * columns + Math.floor(at / rows)] as number,
  );
}
