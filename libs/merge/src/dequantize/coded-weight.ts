/** A weight [rows, columns] in codes: an element is (code - zero) * scale + offset in float32, by its row and group. */
export interface CodedWeight {
  readonly rows: number;
  readonly columns: number;
  /** The number that the element's code stands for. */
  readonly code: (row: number, column: number) => number;
  readonly groups: number;
  readonly groupOf: (column: number) => number;
  readonly scale: (row: number, group: number) => number;
  readonly zero: (row: number, group: number) => number;
  readonly offset?: (row: number, group: number) => number;
}

const { fround } = Math;

/** One row's weights; each is rounded as float32 arithmetic rounds it. */
export function rowOf(weight: CodedWeight, row: number, into: Float32Array): void {
  const { columns, groups, code, groupOf, scale, zero, offset } = weight;
  const scales = Float32Array.from({ length: groups }, (_, group) => scale(row, group));
  const zeros = Float32Array.from({ length: groups }, (_, group) => zero(row, group));
  const offsets = offset && Float32Array.from({ length: groups }, (_, group) => offset(row, group));
  for (let column = 0; column < columns; column += 1) {
    const group = groupOf(column);
    const value = fround((code(row, column) - (zeros[group] as number)) * (scales[group] as number));
    into[column] = offsets ? value + (offsets[group] as number) : value;
  }
}

/** The code at a place of a row of codes without gaps, from the lowest bit on; `word` gives the row's 32-bit words. */
export function codeInStream(place: number, bits: number, word: (index: number) => number): number {
  const first = place * bits;
  const index = Math.floor(first / 32);
  const shift = first % 32;
  const low = word(index) >>> shift;
  const fromLow = 32 - shift;
  const value = fromLow >= bits ? low : low | (word(index + 1) << fromLow);
  return value & ((1 << bits) - 1);
}

export const pieces = (count: number, size: number): number => Math.ceil(count / size);

/** FP8 with four bits of exponent and three of fraction, without infinities. */
const E4M3: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const [exponent, fraction] = [(code >> 3) & 15, code & 7];
  if ((code & 127) === 127) return Number.NaN;
  const size = exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return code >= 128 ? -size : size;
});

export const e4m3 = (code: number): number => E4M3[code] as number;
