import { type FileHandle, open } from 'node:fs/promises';
import type { FloatDtype } from '#safetensors/floats.js';

/* A GGUF file (version 3) of floats: header, metadata, places of the tensors, and their data at multiples of 32. */

export interface GgufTensor {
  readonly name: string;
  readonly dtype: Exclude<FloatDtype, 'F64'>;
  /** Slowest first; the file has them the other way round. */
  readonly shape: readonly number[];
  readonly bytes: () => Promise<Uint8Array>;
}

export type GgufValue = string | { readonly float32: number };

const ALIGNMENT = 32;
const TYPES: Readonly<Record<GgufTensor['dtype'], number>> = { F32: 0, F16: 1, BF16: 30 };
const BYTES: Readonly<Record<GgufTensor['dtype'], number>> = { F32: 4, F16: 2, BF16: 2 };
const FLOAT32 = 6;
const STRING = 8;

/** Writes it tensor by tensor. */
export async function writeGguf(
  path: string,
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    let at = await append(file, headOf(metadata, tensors), 0);
    for (const { name, bytes, shape, dtype } of tensors) {
      const data = await bytes();
      if (data.length !== sizeOf({ shape, dtype })) throw new Error(`${name}: shape and bytes disagree`);
      at = await append(file, data, at);
      at = await append(file, Buffer.alloc(aligned(at) - at), at);
    }
  } finally {
    await file.close();
  }
}

function headOf(metadata: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Buffer {
  const entries = Object.entries(metadata);
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length)];
  for (const [key, value] of entries) {
    parts.push(text(key));
    if (typeof value === 'string') parts.push(u32(STRING), text(value));
    else parts.push(u32(FLOAT32), f32(value.float32));
  }
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, dtype } = tensor;
    parts.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(TYPES[dtype]), u64(offset));
    offset += aligned(sizeOf(tensor));
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([head, Buffer.alloc(aligned(head.length) - head.length)]);
}

function sizeOf({ shape, dtype }: Pick<GgufTensor, 'shape' | 'dtype'>): number {
  return shape.reduce((product, size) => product * size, BYTES[dtype]);
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

async function append(file: FileHandle, bytes: Uint8Array, at: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
  return at + bytes.length;
}
