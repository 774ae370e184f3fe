import { DTYPE_BITS, type Dtype, tensorBytes } from './dtype.js';
import { SafetensorsError } from './error.js';
import { LENGTH_BYTES } from './header.js';

export interface TensorData {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian elements, row-major. */
  readonly bytes: Uint8Array;
}

/** The bytes of a file. As the reference does, wide elements come first and the data starts at a multiple of 8. */
export function writeSafetensors(
  tensors: readonly TensorData[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const sorted = [...tensors].sort(
    (a, b) => DTYPE_BITS[b.dtype] - DTYPE_BITS[a.dtype] || (a.name < b.name ? -1 : Number(a.name > b.name)),
  );
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(['__metadata__', metadata]);
  const names = new Set(['__metadata__']);
  let dataBytes = 0;
  for (const tensor of sorted) {
    checkTensor(tensor, names);
    const data_offsets = [dataBytes, dataBytes + tensor.bytes.length];
    entries.push([tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets }]);
    dataBytes += tensor.bytes.length;
  }
  // Joined by hand: an object would sort names that look like numbers to the front and lose `__proto__`.
  const json = `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`;
  return assemble(new TextEncoder().encode(json), sorted, dataBytes);
}

function checkTensor(tensor: TensorData, names: Set<string>): void {
  if (names.has(tensor.name)) {
    throw new SafetensorsError('duplicate_key', `The name ${tensor.name} is taken`, { tensor: tensor.name });
  }
  names.add(tensor.name);
  const bytes = tensorBytes(tensor.dtype, tensor.shape);
  if (bytes !== tensor.bytes.length) {
    throw new SafetensorsError('size_mismatch', `${tensor.name}: shape and bytes disagree`, {
      tensor: tensor.name,
      expected: `${bytes ?? 'no possible number of'} bytes`,
      found: `${tensor.bytes.length} bytes`,
    });
  }
}

function assemble(json: Uint8Array, tensors: readonly TensorData[], dataBytes: number): Uint8Array {
  const headerBytes = Math.ceil(json.length / LENGTH_BYTES) * LENGTH_BYTES;
  const file = new Uint8Array(LENGTH_BYTES + headerBytes + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(json, LENGTH_BYTES);
  file.fill(0x20, LENGTH_BYTES + json.length, LENGTH_BYTES + headerBytes);
  let at = LENGTH_BYTES + headerBytes;
  for (const tensor of tensors) {
    file.set(tensor.bytes, at);
    at += tensor.bytes.length;
  }
  return file;
}
