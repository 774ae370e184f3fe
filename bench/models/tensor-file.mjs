import { closeSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes a file that appears under its name only when it is complete. */
export class NewFile {
  /** @param {string} path */
  constructor(path) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.file = openSync(`${path}.part`, 'w');
    this.bytes = 0;
  }

  /** @param {Uint8Array} bytes */
  write(bytes) {
    for (let done = 0; done < bytes.byteLength; ) {
      done += writeSync(this.file, bytes, done, bytes.byteLength - done);
    }
    this.bytes += bytes.byteLength;
  }

  /** Zeros up to the next multiple. @param {number} multiple */
  pad(multiple) {
    const rest = this.bytes % multiple;
    if (rest > 0) this.write(new Uint8Array(multiple - rest));
  }

  commit() {
    fsyncSync(this.file);
    closeSync(this.file);
    renameSync(`${this.path}.part`, this.path);
  }

  discard() {
    closeSync(this.file);
    rmSync(`${this.path}.part`, { force: true });
  }
}

/** Runs `write` on a new file and commits it, or leaves nothing. @param {string} path @param {(file: NewFile) => void} write */
export function writeWhole(path, write) {
  const file = new NewFile(path);
  try {
    write(file);
  } catch (error) {
    file.discard();
    throw error;
  }
  file.commit();
}

const BYTES = { BF16: 2, F16: 2, F32: 4, I8: 1, I32: 4 };

/** In bf16 where it says no other type. @typedef {{ name: string, shape: readonly number[], dtype?: keyof typeof BYTES, chunks: () => Iterable<Uint8Array> }} NewTensor */

/** A safetensors file. @param {string} path @param {readonly NewTensor[]} tensors */
export function writeSafetensors(path, tensors) {
  let offset = 0;
  /** @type {Record<string, object>} */
  const header = { __metadata__: { format: 'pt' } };
  for (const { name, shape, dtype = 'BF16' } of tensors) {
    const bytes = BYTES[dtype] * shape.reduce((product, dim) => product * dim, 1);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded));
  writeWhole(path, (file) => {
    file.write(length);
    file.write(Buffer.concat([json, Buffer.alloc(padded - json.length, ' ')]));
    const start = file.bytes;
    for (const { chunks } of tensors) for (const chunk of chunks()) file.write(chunk);
    if (file.bytes - start !== offset)
      throw new Error(`${path}: wrote ${file.bytes - start} of ${offset} bytes`);
  });
}

/** Reads back files of bf16 that `writeSafetensors` wrote (and no others: it trusts them). */
export class Bf16File {
  /** @param {string} path */
  constructor(path) {
    this.file = openSync(path, 'r');
    const length = Buffer.alloc(8);
    readSync(this.file, length, 0, 8, 0);
    const headerBytes = Number(length.readBigUInt64LE());
    const json = Buffer.alloc(headerBytes);
    readSync(this.file, json, 0, headerBytes, 8);
    this.header = JSON.parse(json.toString());
    this.start = 8 + headerBytes;
  }

  /** In the file's order. */
  names() {
    return Object.keys(this.header).filter((name) => name !== '__metadata__');
  }

  /** @param {string} name @returns {number[]} */
  shape(name) {
    return this.header[name].shape;
  }

  /** Rows [from, from + count) of a matrix, or of a vector taken as one row. @param {string} name @param {number} from @param {number} count */
  rows(name, from, count) {
    const shape = this.shape(name);
    const columns = /** @type {number} */ (shape.at(-1));
    const words = new Uint16Array(columns * count);
    const bytes = new Uint8Array(words.buffer);
    const at = this.start + this.header[name].data_offsets[0] + from * columns * 2;
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.file, bytes, done, bytes.length - done, at + done);
      if (read === 0) throw new Error(`${name}: the file ends too early`);
      done += read;
    }
    return words;
  }

  close() {
    closeSync(this.file);
  }
}
