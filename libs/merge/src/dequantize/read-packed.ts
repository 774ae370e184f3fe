import { codeInStream, type CodedWeight, e4m3, pieces } from './coded-weight.js';
import { readNf4 } from './nf4.js';
import type { PackedModule } from './packed-module.js';
import type { QuantizedConfig } from './quantized-config.js';

/** Which tensor tells that a module is packed by the method. */
export function isPacked(has: (suffix: string) => boolean, { method }: QuantizedConfig): boolean {
  switch (method) {
    case 'gptq':
    case 'awq':
      return has('qweight');
    case 'compressed-tensors':
      return has('weight_packed') || has('weight_scale');
    case 'fp8':
      return has('weight_scale_inv') || has('weight_scale');
    case 'bitsandbytes':
      return has('SCB') || has('weight.absmax');
    case 'mlx':
      return has('scales');
  }
}

/** The weight that a packed module stands for. Throws MergeError where its tensors do not fit together. */
export function readPacked(module: PackedModule, config: QuantizedConfig): CodedWeight {
  switch (config.method) {
    case 'gptq':
      return readGptq(module, config);
    case 'awq':
      return readAwq(module);
    case 'compressed-tensors':
      return module.has('weight_packed') ? readPackedRows(module, config) : readBytes(module, config);
    case 'fp8':
      return readBytes(module, config);
    case 'bitsandbytes':
      return module.has('SCB') ? readInt8(module) : readNf4(module);
    case 'mlx':
      return readMlx(module, config);
  }
}

/** Columns of codes down the inputs; scales and zeros [groups, outputs]. */
function readGptq(module: PackedModule, { zerosLessOne, groupSize }: QuantizedConfig): CodedWeight {
  const [wordRows, rows] = module.matrix('qweight');
  const [groups] = module.matrix('scales');
  const index = module.has('g_idx') ? module.integers('g_idx') : undefined;
  const bits = [4, 8, 3, 2].find(
    (each) => index === undefined || pieces(index.length * each, 32) === wordRows,
  );
  if (bits === undefined) throw module.refuse('has codes of no known number of bits');
  const columns = index?.length ?? (wordRows * 32) / bits;
  const words = module.words('qweight');
  const zeros = module.words('qzeros');
  const zeroWords = pieces(rows * bits, 32);
  const mask = (1 << bits) - 1;
  const scales = module.floats('scales');
  return {
    rows,
    columns,
    groups,
    groupOf: groupsOf(module, { index, groups, columns, wanted: groupSize }),
    code: (row, column) => codeInStream(column, bits, (word) => words[word * rows + row] ?? 0),
    scale: (row, group) => scales[group * rows + row] as number,
    zero: (row, group) => {
      const stored = codeInStream(row, bits, (word) => zeros[group * zeroWords + word] ?? 0);
      return zerosLessOne ? (stored + 1) & mask : stored;
    },
  };
}

/** Where of a word's eight codes an output's lies: the even ones come first. */
const AWQ_PLACES = [0, 4, 1, 5, 2, 6, 3, 7];

function readAwq(module: PackedModule): CodedWeight {
  const [columns, wordsOfRow] = module.matrix('qweight');
  const [groups, rows] = module.matrix('scales');
  if (wordsOfRow * 8 !== rows) throw module.refuse('has codes and scales of different outputs');
  const [words, zeros, scales] = [module.words('qweight'), module.words('qzeros'), module.floats('scales')];
  const at = (from: Uint32Array, first: number, row: number): number =>
    ((from[first * wordsOfRow + (row >> 3)] as number) >>> (4 * (AWQ_PLACES[row & 7] as number))) & 15;
  return {
    rows,
    columns,
    groups,
    groupOf: groupsOf(module, { groups, columns, wanted: 0 }),
    code: (row, column) => at(words, column, row),
    scale: (row, group) => scales[group * rows + row] as number,
    zero: (row, group) => at(zeros, group, row),
  };
}

/** compressed-tensors: rows of codes in words. */
function readPackedRows(module: PackedModule, config: QuantizedConfig): CodedWeight {
  const [rows, wordsOfRow] = module.matrix('weight_packed');
  const [, columns] = module.integers('weight_shape');
  const bits = [4, 8].find((each) => columns !== undefined && pieces(columns * each, 32) === wordsOfRow);
  if (bits === undefined || columns === undefined)
    throw module.refuse('has codes of no known number of bits');
  const words = module.words('weight_packed');
  const { groups, wanted, scale } = scalesOf(module, 'weight_scale', { rows, columns, block: config.block });
  const middle = 1 << (bits - 1);
  const index = module.has('weight_g_idx') ? module.integers('weight_g_idx') : undefined;
  const points = module.has('weight_zero_point') ? module.words('weight_zero_point') : undefined;
  const ofWord = 32 / bits;
  return {
    rows,
    columns,
    groups,
    groupOf: groupsOf(module, { index, groups, columns, wanted }),
    code: (row, column) => codeInStream(column, bits, (word) => words[row * wordsOfRow + word] ?? 0),
    scale,
    zero: (row, group) =>
      points
        ? ((points[Math.floor(row / ofWord) * groups + group] as number) >>> ((row % ofWord) * bits)) &
          (2 ** bits - 1)
        : middle,
  };
}

/** A byte for each weight: FP8, or integers with a sign. */
function readBytes(module: PackedModule, config: QuantizedConfig): CodedWeight {
  const [rows, columns] = module.matrix('weight');
  const dtype = module.dtype('weight');
  if (dtype !== 'F8_E4M3' && dtype !== 'I8')
    throw module.refuse(`has weights in ${dtype}, which is not read`);
  const bytes = module.bytes('weight');
  const suffix = module.has('weight_scale_inv') ? 'weight_scale_inv' : 'weight_scale';
  const { groups, wanted, scale } = scalesOf(module, suffix, { rows, columns, block: config.block });
  const index = module.has('weight_g_idx') ? module.integers('weight_g_idx') : undefined;
  const points =
    dtype === 'I8' && module.has('weight_zero_point') ? module.bytes('weight_zero_point') : undefined;
  const signed = (byte: number): number => (byte << 24) >> 24;
  return {
    rows,
    columns,
    groups,
    groupOf: groupsOf(module, { index, groups, columns, wanted }),
    code: (row, column) => {
      const byte = bytes[row * columns + column] as number;
      return dtype === 'I8' ? signed(byte) : e4m3(byte);
    },
    scale,
    zero: (row, group) =>
      points ? signed(points[points.length === 1 ? 0 : row * groups + group] as number) : 0,
  };
}

/** bitsandbytes: the largest value of each output stands for 127. */
function readInt8(module: PackedModule): CodedWeight {
  const [rows, columns] = module.matrix('weight');
  const bytes = module.bytes('weight');
  const largest = module.floats('SCB');
  const share = Math.fround(1 / 127);
  return {
    rows,
    columns,
    groups: 1,
    groupOf: () => 0,
    code: (row, column) => ((bytes[row * columns + column] as number) << 24) >> 24,
    scale: (row) => Math.fround(share * (largest[row] as number)),
    zero: () => 0,
  };
}

function readMlx(module: PackedModule, { bits: common, groupSize, own }: QuantizedConfig): CodedWeight {
  const [rows, wordsOfRow] = module.matrix('weight');
  const [, groups] = module.matrix('scales');
  const words = module.words('weight');
  const [scales, biases] = [module.floats('scales'), module.floats('biases')];
  const { bits, groupSize: group } = own.get(module.name) ?? { bits: common, groupSize };
  const columns = groups * group;
  if (pieces(columns * bits, 32) !== wordsOfRow)
    throw module.refuse(`has ${wordsOfRow} words for ${columns} codes of ${bits} bits`);
  return {
    rows,
    columns,
    groups,
    groupOf: (column) => Math.floor(column / group),
    code: (row, column) => codeInStream(column, bits, (word) => words[row * wordsOfRow + word] ?? 0),
    scale: (row, place) => scales[row * groups + place] as number,
    zero: () => 0,
    offset: (row, place) => biases[row * groups + place] as number,
  };
}

interface Grouping {
  readonly index?: readonly number[] | undefined;
  readonly groups: number;
  readonly columns: number;
  /** 0: the columns, cut evenly. */
  readonly wanted: number;
}

function groupsOf(
  module: PackedModule,
  { index, groups, columns, wanted }: Grouping,
): (column: number) => number {
  if (index) {
    if (index.length !== columns || index.some((group) => group < 0 || group >= groups))
      throw module.refuse('names groups that it does not have');
    return (column) => index[column] as number;
  }
  const size = wanted > 0 && pieces(columns, wanted) === groups ? wanted : pieces(columns, groups);
  if (pieces(columns, size) !== groups) throw module.refuse(`has ${groups} groups for ${columns} inputs`);
  return (column) => Math.floor(column / size);
}

/** Of a whole tensor, of each output, of groups of inputs or of blocks of both. */
function scalesOf(
  module: PackedModule,
  suffix: string,
  { rows, columns, block }: { rows: number; columns: number; block: readonly [number, number] },
): { groups: number; wanted: number; scale: (row: number, group: number) => number } {
  const values = module.floats(suffix);
  const shape = module.shape(suffix);
  const at = (place: number): number => values[place] as number;
  if (values.length === 1) return { groups: 1, wanted: columns, scale: () => at(0) };
  if (shape[0] === rows && values.length === rows) return { groups: 1, wanted: columns, scale: at };
  const [blockRows, blockColumns] = [pieces(rows, block[0]), pieces(columns, block[1])];
  if (shape[0] === blockRows && shape[1] === blockColumns && blockRows < rows)
    return {
      groups: blockColumns,
      wanted: block[1],
      scale: (row, group) => at(Math.floor(row / block[0]) * blockColumns + group),
    };
  const [, groups] = shape;
  if (shape[0] === rows && groups !== undefined)
    return { groups, wanted: 0, scale: (row, group) => at(row * groups + group) };
  throw module.refuse(`has scales of shape [${shape.join(', ')}], which fit in no way`);
}
