import { type FileHandle, open } from 'node:fs/promises';
import { decodeFloats, type FloatDtype } from '#safetensors/floats.js';
import { LENGTH_BYTES, parseHeader, parseHeaderLength, type SafetensorsHeader } from '#safetensors/header.js';
import { MergeError } from './merge-error.js';

/** A place in a safetensors file. */
export interface Span {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A safetensors file that is read by places. */
export class TensorFile {
  private constructor(
    private readonly handle: FileHandle,
    readonly path: string,
    readonly header: SafetensorsHeader,
    /** Length and header, as they stand at the file's beginning. */
    readonly head: Uint8Array,
  ) {}

  static async open(path: string): Promise<TensorFile> {
    const handle = await open(path, 'r');
    try {
      const length = parseHeaderLength(await readAt(handle, 0, LENGTH_BYTES));
      const header = parseHeader(await readAt(handle, LENGTH_BYTES, length));
      const { size } = await handle.stat();
      if (size !== header.fileBytes)
        throw new MergeError(`${path} has ${size} bytes; its header says ${header.fileBytes}.`);
      return new TensorFile(handle, path, header, await readAt(handle, 0, LENGTH_BYTES + length));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  read(begin: number, end: number): Promise<Uint8Array> {
    return readAt(this.handle, begin, end - begin);
  }

  async floats({ name, dtype, begin, end }: Span): Promise<Float32Array> {
    return decodeFloats(floatDtype(name, dtype), await this.read(begin, end));
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** Throws MergeError for a tensor whose elements are no plain floats. */
export function floatDtype(name: string, dtype: string): FloatDtype {
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' || dtype === 'F64') return dtype;
  throw new MergeError(
    `${name} is ${dtype}: an adapter is merged into weights in float32, bfloat16 or float16 only.`,
  );
}

async function readAt(handle: FileHandle, begin: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, begin + done);
    if (bytesRead === 0) throw new MergeError('a file is shorter than its header says.');
    done += bytesRead;
  }
  return bytes;
}
