import { writeWhole } from './tensor-file.mjs';

/* GGUF version 3: header, metadata, tensor headers, then the data at multiples of 32 bytes. */
const ALIGNMENT = 32;
const TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };

/**
 * @typedef {{ u32: number } | { f32: number } | { bool: boolean } | { string: string }
 *   | { strings: readonly string[] } | { i32s: readonly number[] }} GgufValue
 */
/**
 * @typedef {object} GgufTensor
 * @property {string} name
 * @property {readonly number[]} shape  slowest first, as everywhere here; the file has it the other way round
 * @property {number} type  ggml's number
 * @property {number} bytes
 * @property {() => Iterable<Uint8Array>} chunks
 */

/**
 * @param {string} path
 * @param {ReadonlyMap<string, GgufValue>} metadata
 * @param {readonly GgufTensor[]} tensors
 */
export function writeGguf(path, metadata, tensors) {
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(string(key), encode(value));
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    parts.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(type), u64(offset));
    offset += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
  writeWhole(path, (file) => {
    file.write(Buffer.concat(parts));
    for (const { name, bytes, chunks } of tensors) {
      file.pad(ALIGNMENT);
      const start = file.bytes;
      for (const chunk of chunks()) file.write(chunk);
      if (file.bytes - start !== bytes)
        throw new Error(`${name}: wrote ${file.bytes - start} of ${bytes} bytes`);
    }
    file.pad(ALIGNMENT);
  });
}

/** @param {number} value */
function u32(value) {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

/** @param {number} value */
function u64(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

/** @param {string} text */
function string(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** @param {GgufValue} value */
function encode(value) {
  if ('u32' in value) return Buffer.concat([u32(TYPE.u32), u32(value.u32)]);
  if ('f32' in value)
    return Buffer.concat([u32(TYPE.f32), Buffer.from(new Float32Array([value.f32]).buffer)]);
  if ('bool' in value) return Buffer.concat([u32(TYPE.bool), Buffer.from([value.bool ? 1 : 0])]);
  if ('string' in value) return Buffer.concat([u32(TYPE.string), string(value.string)]);
  if ('strings' in value) return array(TYPE.string, value.strings.map(string));
  return array(TYPE.i32, [Buffer.from(Int32Array.from(value.i32s).buffer)], value.i32s.length);
}

/** @param {number} type @param {readonly Buffer[]} items @param {number} [count] */
function array(type, items, count = items.length) {
  return Buffer.concat([u32(TYPE.array), u32(type), u64(count), ...items]);
}
