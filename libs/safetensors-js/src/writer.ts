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

/** A tensor's place in a file that is about to be written. */
export type TensorShape = Omit<TensorData, 'bytes'>;

/** The bytes of a file. As the reference does, wide elements come first and the data starts at a multiple of 8. */
export function writeSafetensors(
  tensors: readonly TensorData[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  for (const tensor of tensors) checkTensor(tensor);
  const { head, order } = layOut(tensors, metadata);
  const parts = [head, ...order.map(({ bytes }) => bytes)];
  const file = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** The file's head, and the order in which the tensors' bytes follow it: for files that are written piece by piece. */
export function layOut<T extends TensorShape>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): { readonly head: Uint8Array; readonly order: readonly T[] } {
  const order = [...tensors].sort(
    (a, b) => DTYPE_BITS[b.dtype] - DTYPE_BITS[a.dtype] || (a.name < b.name ? -1 : Number(a.name > b.name)),
  );
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(['__metadata__', metadata]);
  const names = new Set(['__metadata__']);
  let dataBytes = 0;
  for (const { name, dtype, shape } of order) {
    if (names.has(name)) {
      throw new SafetensorsError('duplicate_key', `The name ${name} is taken`, { tensor: name });
    }
    names.add(name);
    const bytes = tensorBytes(dtype, shape) ?? 0;
    entries.push([name, { dtype, shape, data_offsets: [dataBytes, dataBytes + bytes] }]);
    dataBytes += bytes;
  }
  // Joined by hand: an object would sort names that look like numbers to the front and lose `__proto__`.
  const json = `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`;
  return { head: headOf(new TextEncoder().encode(json)), order };
}

function checkTensor(tensor: TensorData): void {
  const bytes = tensorBytes(tensor.dtype, tensor.shape);
  if (bytes !== tensor.bytes.length) {
    throw new SafetensorsError('size_mismatch', `${tensor.name}: shape and bytes disagree`, {
      tensor: tensor.name,
      expected: `${bytes ?? 'no possible number of'} bytes`,
      found: `${tensor.bytes.length} bytes`,
    });
  }
}

/** The length, then the JSON padded with spaces. */
function headOf(json: Uint8Array): Uint8Array {
  const headerBytes = Math.ceil(json.length / LENGTH_BYTES) * LENGTH_BYTES;
  const head = new Uint8Array(LENGTH_BYTES + headerBytes);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(json, LENGTH_BYTES);
  head.fill(0x20, LENGTH_BYTES + json.length);
  return head;
}
