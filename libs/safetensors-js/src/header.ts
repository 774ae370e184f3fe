import { type Dtype, isDtype, tensorBytes } from './dtype.js';
import { SafetensorsError } from './error.js';
import { parseStrictJson, StrictJsonError, type StrictJsonValue } from './strict-json.js';

/** A tensor of the file. `begin` and `end` are byte offsets from the start of the file. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A header that has passed every check. */
export interface SafetensorsHeader {
  /** Where the tensors' bytes start: 8 + the header's length. */
  readonly dataStart: number;
  /** The whole file: its last tensor's end. */
  readonly fileBytes: number;
  readonly metadata: ReadonlyMap<string, string>;
  /** By place in the file: without overlap and hole from `dataStart` to `fileBytes`. */
  readonly tensors: readonly TensorInfo[];
}

/** Bytes of the little-endian length before the header. */
export const LENGTH_BYTES = 8;
/** The reference implementation's limit. */
export const MAX_HEADER_BYTES = 100_000_000;
const METADATA = '__metadata__';
const ENTRY_KEYS = new Set(['dtype', 'shape', 'data_offsets']);

/** The length of the header, from the file's first 8 bytes. */
export function parseHeaderLength(first8: Uint8Array, maxHeaderBytes = MAX_HEADER_BYTES): number {
  const length = new DataView(first8.buffer, first8.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new SafetensorsError('header_too_large', `The header claims ${length} bytes`, {
      expected: `at most ${maxHeaderBytes} bytes`,
      found: `${length} bytes`,
    });
  }
  return Number(length);
}

/** Checks all that can be known without the data. `bytes` are the header's, without the length before them. */
export function parseHeader(bytes: Uint8Array): SafetensorsHeader {
  const entries = parseEntries(bytes);
  const dataStart = LENGTH_BYTES + bytes.length;
  let metadata: ReadonlyMap<string, string> = new Map();
  const tensors: TensorInfo[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    if (name === METADATA) metadata = parseMetadata(entry);
    else tensors.push(parseTensor(name, entry, dataStart));
  }
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  return { dataStart, fileBytes: checkSpans(tensors, dataStart), metadata, tensors };
}

function parseEntries(bytes: Uint8Array): { [name: string]: StrictJsonValue } {
  if (bytes[0] !== 0x7b) {
    throw new SafetensorsError('header_not_object', "The header does not start with '{'");
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SafetensorsError('header_not_utf8', 'The header is not valid UTF-8');
  }
  try {
    return parseStrictJson(text, { maxDepth: 4 }) as { [name: string]: StrictJsonValue };
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error;
    const code = error.code === 'duplicate_key' ? 'duplicate_key' : 'header_json_invalid';
    const tensor = error.path[0];
    throw new SafetensorsError(
      code,
      `The header is not strict JSON: ${error.message}`,
      tensor ? { tensor } : {},
    );
  }
}

function parseMetadata(entry: StrictJsonValue): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (!isObject(entry)) {
    throw new SafetensorsError('metadata_invalid', '__metadata__ is not an object', { found: kind(entry) });
  }
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== 'string') {
      const message = `__metadata__[${JSON.stringify(key)}] is not a string`;
      throw new SafetensorsError('metadata_invalid', message, { expected: 'string', found: kind(value) });
    }
    metadata.set(key, value);
  }
  return metadata;
}

function parseTensor(name: string, entry: StrictJsonValue, dataStart: number): TensorInfo {
  const { dtype, shape, offsets } = parseEntry(name, entry);
  const [from, to] = offsets;
  const bytes = tensorBytes(dtype, shape);
  if (bytes === undefined) {
    const message = `${name}: [${shape.join(', ')}] x ${dtype} is no size that a file can have`;
    throw new SafetensorsError('shape_invalid', message, { tensor: name, found: JSON.stringify(shape) });
  }
  if (bytes !== to - from) {
    throw new SafetensorsError(
      'size_mismatch',
      `${name}: [${shape.join(', ')}] x ${dtype} takes ${bytes} bytes, its data_offsets span ${to - from}`,
      { tensor: name, expected: `${bytes} bytes`, found: `${to - from} bytes` },
    );
  }
  return { name, dtype, shape, begin: dataStart + from, end: dataStart + to };
}

function parseEntry(name: string, entry: StrictJsonValue) {
  const invalid = (
    code: 'tensor_entry_invalid' | 'shape_invalid' | 'offsets_invalid',
    expected: string,
    found: string,
  ) =>
    new SafetensorsError(code, `${name}: expected ${expected}, found ${found}`, {
      tensor: name,
      expected,
      found,
    });
  if (!isObject(entry)) throw invalid('tensor_entry_invalid', 'an object', kind(entry));
  for (const key of Object.keys(entry)) {
    if (!ENTRY_KEYS.has(key))
      throw invalid('tensor_entry_invalid', [...ENTRY_KEYS].join(', '), JSON.stringify(key));
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string') throw invalid('tensor_entry_invalid', 'dtype as a string', kind(dtype));
  if (!isDtype(dtype)) {
    throw new SafetensorsError('dtype_unknown', `${name}: unknown dtype ${JSON.stringify(dtype)}`, {
      tensor: name,
      found: dtype,
    });
  }
  if (!isSizes(shape)) throw invalid('shape_invalid', 'shape as non-negative integers', show(shape));
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw invalid('offsets_invalid', 'data_offsets as two non-negative integers', show(offsets));
  }
  const [from = 0, to = 0] = offsets;
  if (from > to) throw invalid('offsets_invalid', 'data_offsets in ascending order', show(offsets));
  return { dtype, shape, offsets: [from, to] as const };
}

/** Tensors sorted by place must follow each other without a gap; answers where the last one ends. */
function checkSpans(sorted: readonly TensorInfo[], dataStart: number): number {
  let at = dataStart;
  let before = 'the header';
  for (const tensor of sorted) {
    if (tensor.begin !== at) {
      const details = {
        tensor: tensor.name,
        expected: `start at ${at - dataStart}`,
        found: `${tensor.begin - dataStart}`,
      };
      throw tensor.begin < at
        ? new SafetensorsError('tensor_overlap', `${tensor.name} overlaps ${before}`, details)
        : new SafetensorsError(
            'data_hole',
            `${tensor.begin - at} unused bytes before ${tensor.name}`,
            details,
          );
    }
    at = tensor.end;
    before = tensor.name;
  }
  if (!Number.isSafeInteger(at))
    throw new SafetensorsError('offsets_invalid', 'The tensors end beyond 2^53 bytes');
  return at;
}

function isObject(value: StrictJsonValue | undefined): value is { [key: string]: StrictJsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: StrictJsonValue | undefined): value is number[] {
  return (
    Array.isArray(value) &&
    value.every((n) => typeof n === 'number' && Number.isInteger(n) && n >= 0 && !Object.is(n, -0))
  );
}

function kind(value: StrictJsonValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function show(value: StrictJsonValue | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 100);
}
