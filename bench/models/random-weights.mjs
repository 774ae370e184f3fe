import { createCipheriv, createHash } from 'node:crypto';

/** Bits of the bf16 number nearest to `value`. @param {number} value */
export function bf16Bits(value) {
  scratchF32[0] = value;
  const bits = /** @type {number} */ (scratchU32[0]);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
const scratchF32 = new Float32Array(1);
const scratchU32 = new Uint32Array(scratchF32.buffer);

/**
 * bf16 bits of the normal distribution's quantiles: a random 16-bit word indexes one normally distributed weight.
 * None of them is zero.
 * @param {number} mean
 * @param {number} deviation
 * @returns {Uint16Array} [65536]
 */
export function normalTable(mean, deviation) {
  return Uint16Array.from({ length: 65_536 }, (_, i) =>
    bf16Bits(mean + deviation * normalQuantile((i + 0.5) / 65_536)),
  );
}

/** Inverse of the normal distribution function (Acklam's rational approximation, relative error below 1.2e-9). @param {number} p @returns {number} */
export function normalQuantile(p) {
  const tail = 0.02425;
  if (p > 1 - tail) return -normalQuantile(1 - p);
  if (p < tail) {
    const q = Math.sqrt(-2 * Math.log(p));
    return polynomial(q, TAIL_ABOVE) / (polynomial(q, TAIL_BELOW) * q + 1);
  }
  const q = p - 0.5;
  const r = q * q;
  return (polynomial(r, MIDDLE_ABOVE) * q) / (polynomial(r, MIDDLE_BELOW) * r + 1);
}

/** @param {number} x @param {readonly number[]} coefficients  highest power first */
const polynomial = (x, coefficients) => coefficients.reduce((sum, c) => sum * x + c, 0);
const MIDDLE_ABOVE = [
  -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
  2.506628277459239,
];
const MIDDLE_BELOW = [
  -54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572,
];
const TAIL_ABOVE = [
  -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
  2.938163982698783,
];
const TAIL_BELOW = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];

const CHUNK_BYTES = 4 << 20;
const zeros = Buffer.alloc(CHUNK_BYTES);

/**
 * The weights of one tensor: a function of seed and name alone, so files can be written in any order.
 * @param {{ seed: string, name: string, count: number, table: Uint16Array }} tensor
 * @returns {Generator<Uint8Array>} bf16 in chunks; each is overwritten by the next
 */
export function* randomBf16({ seed, name, count, table }) {
  const key = createHash('sha256').update(`${seed}/${name}`).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const chunk = new Uint16Array(CHUNK_BYTES / 2);
  for (let done = 0; done < count; ) {
    const part = Math.min(chunk.length, count - done);
    const random = cipher.update(zeros.subarray(0, part * 2));
    const words = new Uint16Array(random.buffer, random.byteOffset, part);
    for (let i = 0; i < part; i++) chunk[i] = /** @type {number} */ (table[/** @type {number} */ (words[i])]);
    yield new Uint8Array(chunk.buffer, 0, part * 2);
    done += part;
  }
}
