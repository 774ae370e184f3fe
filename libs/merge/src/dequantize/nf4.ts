import type { CodedWeight } from './coded-weight.js';
import type { PackedModule } from './packed-module.js';

interface State {
  readonly shape: readonly [number, number];
  readonly blocksize: number;
  readonly nested_blocksize?: number;
  readonly nested_offset?: number;
}

const STATE = 'weight.quant_state.bitsandbytes__nf4';

/** bitsandbytes' four bits: blocks of the flat weight over their largest value, which may be in 8 bits itself. */
export function readNf4(module: PackedModule): CodedWeight {
  if (!module.has(STATE)) throw module.refuse('is in four bits other than nf4, which are not read');
  const state = JSON.parse(Buffer.from(module.bytes(STATE)).toString('utf8')) as State;
  const [rows, columns] = state.shape;
  const { blocksize } = state;
  const packed = module.bytes('weight');
  const table = module.floats('weight.quant_map');
  const largest = largestValues(module, state);
  if (packed.length * 2 !== rows * columns || largest.length * blocksize < rows * columns)
    throw module.refuse('has other codes than its state says');
  if (columns % blocksize !== 0) throw module.refuse(`has rows that are no multiple of ${blocksize} long`);
  return {
    rows,
    columns,
    groups: columns / blocksize,
    groupOf: (column) => Math.floor(column / blocksize),
    code: (row, column) => {
      const place = row * columns + column;
      const byte = packed[place >> 1] as number;
      return table[place % 2 === 0 ? byte >> 4 : byte & 15] as number;
    },
    scale: (row, group) => largest[(row * columns) / blocksize + group] as number,
    zero: () => 0,
  };
}

function largestValues(
  module: PackedModule,
  { nested_blocksize: size, nested_offset = 0 }: State,
): Float32Array {
  if (module.dtype('weight.absmax') !== 'U8') return module.floats('weight.absmax');
  const codes = module.bytes('weight.absmax');
  const table = module.floats('weight.nested_quant_map');
  const scales = module.floats('weight.nested_absmax');
  if (size === undefined) throw module.refuse('has a state without nested_blocksize');
  return Float32Array.from(codes, (code, place) =>
    Math.fround(
      Math.fround((table[code] as number) * (scales[Math.floor(place / size)] as number)) +
        Math.fround(nested_offset),
    ),
  );
}
