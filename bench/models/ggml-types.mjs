/*
 * ggml's tensor types, written from bf16. Blocks of 32 along a row; layouts as in ggml's ggml-common.h:
 * Q8_0 {f16 scale; int8 q[32]}, Q4_0 {f16 scale; 16 bytes, element j low and j + 16 high}.
 */
const BLOCK = 32;

/** @typedef {'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0'} GgmlType */

/** `id` stands in tensor headers, `fileType` in general.file_type. */
export const GGML = {
  f32: { id: 0, fileType: 0, bytesPerRow: (/** @type {number} */ n) => 4 * n },
  f16: { id: 1, fileType: 1, bytesPerRow: (/** @type {number} */ n) => 2 * n },
  bf16: { id: 30, fileType: 32, bytesPerRow: (/** @type {number} */ n) => 2 * n },
  q8_0: { id: 8, fileType: 7, bytesPerRow: (/** @type {number} */ n) => 34 * (n / BLOCK) },
  q4_0: { id: 2, fileType: 2, bytesPerRow: (/** @type {number} */ n) => 18 * (n / BLOCK) },
};
export const GGML_TYPES = /** @type {GgmlType[]} */ (Object.keys(GGML));

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** f16 bits, rounded to nearest even. @param {number} value */
export function f16Bits(value) {
  float[0] = value;
  const x = /** @type {number} */ (bits[0]);
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude < 0x38800000) return sign | subnormalF16(magnitude);
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** @param {number} magnitude  f32 bits below the smallest normal f16 */
function subnormalF16(magnitude) {
  bits[0] = magnitude;
  const exact = /** @type {number} */ (float[0]) * 2 ** 24;
  const low = Math.floor(exact);
  const rest = exact - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/** @param {number} half */
export function f16Value(half) {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @type {Float32Array | undefined} */
let valueOfBf16;
function bf16Values() {
  if (valueOfBf16 === undefined) {
    const words = Uint32Array.from({ length: 65_536 }, (_, i) => i << 16);
    valueOfBf16 = new Float32Array(words.buffer);
  }
  return valueOfBf16;
}

/** @type {Uint16Array | undefined} */
let halfOfBf16;
function bf16Halves() {
  halfOfBf16 ??= Uint16Array.from(bf16Values(), f16Bits);
  return halfOfBf16;
}

/**
 * Rows of bf16 in another type.
 * @param {Uint16Array} words  bf16, whole rows whose length is a multiple of 32
 * @param {GgmlType} type
 * @returns {Uint8Array}
 */
export function convertBf16(words, type) {
  if (type === 'bf16') return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  if (type === 'q8_0') return quantizeQ8(words);
  if (type === 'q4_0') return quantizeQ4(words);
  const values = bf16Values();
  if (type === 'f32') {
    const out = new Float32Array(words.length);
    for (let i = 0; i < words.length; i++) out[i] = /** @type {number} */ (values[at(words, i)]);
    return new Uint8Array(out.buffer);
  }
  const halves = bf16Halves();
  const out = new Uint16Array(words.length);
  for (let i = 0; i < words.length; i++) out[i] = /** @type {number} */ (halves[at(words, i)]);
  return new Uint8Array(out.buffer);
}

/** @param {Uint16Array | Float32Array} array @param {number} i */
const at = (array, i) => /** @type {number} */ (array[i]);

/** @param {Uint16Array} words */
function quantizeQ8(words) {
  const values = bf16Values();
  const out = new Uint8Array((words.length / BLOCK) * 34);
  for (let block = 0, o = 0; block < words.length; block += BLOCK, o += 34) {
    let most = 0;
    for (let i = 0; i < BLOCK; i++) most = Math.max(most, Math.abs(at(values, at(words, block + i))));
    const scale = most / 127;
    const inverse = scale === 0 ? 0 : 1 / scale;
    const half = f16Bits(scale);
    out[o] = half & 255;
    out[o + 1] = half >>> 8;
    for (let i = 0; i < BLOCK; i++) {
      out[o + 2 + i] = Math.round(at(values, at(words, block + i)) * inverse) & 255;
    }
  }
  return out;
}

/** @param {Uint16Array} words */
function quantizeQ4(words) {
  const values = bf16Values();
  const out = new Uint8Array((words.length / BLOCK) * 18);
  for (let block = 0, o = 0; block < words.length; block += BLOCK, o += 18) {
    let most = 0;
    for (let i = 0; i < BLOCK; i++) {
      const value = at(values, at(words, block + i));
      if (Math.abs(value) > Math.abs(most)) most = value;
    }
    const scale = most / -8; // the largest magnitude becomes -8, the code without a positive twin
    const inverse = scale === 0 ? 0 : 1 / scale;
    const half = f16Bits(scale);
    out[o] = half & 255;
    out[o + 1] = half >>> 8;
    for (let i = 0; i < BLOCK / 2; i++) {
      const low = Math.min(15, Math.floor(at(values, at(words, block + i)) * inverse + 8.5));
      const high = Math.min(15, Math.floor(at(values, at(words, block + 16 + i)) * inverse + 8.5));
      out[o + 2 + i] = low | (high << 4);
    }
  }
  return out;
}
