import { decodeFloats } from '#safetensors/floats.js';
import type { TensorInfo } from '#safetensors/header.js';
import { MergeError } from '../merge-error.js';
import { floatDtype } from '../tensor-file.js';

/** One tensor of a packed module, read whole. */
export interface Part {
  readonly info: Pick<TensorInfo, 'name' | 'dtype' | 'shape'>;
  readonly bytes: Uint8Array;
}

/** The tensors of one module, by what follows its name: `qweight`, `weight_scale`, ... */
export class PackedModule {
  constructor(
    readonly name: string,
    private readonly parts: ReadonlyMap<string, Part>,
  ) {}

  has(suffix: string): boolean {
    return this.parts.has(suffix);
  }

  part(suffix: string): Part {
    const part = this.parts.get(suffix);
    if (!part) throw new MergeError(`The checkpoint has no tensor ${this.name}.${suffix}.`);
    return part;
  }

  shape(suffix: string): readonly number[] {
    return this.part(suffix).info.shape;
  }

  dtype(suffix: string): string {
    return this.part(suffix).info.dtype;
  }

  /** Of a matrix. */
  matrix(suffix: string): readonly [number, number] {
    const [rows, columns, ...more] = this.shape(suffix);
    if (rows === undefined || columns === undefined || more.length > 0)
      throw new MergeError(`${this.name}.${suffix} is no matrix.`);
    return [rows, columns];
  }

  floats(suffix: string): Float32Array {
    const { info, bytes } = this.part(suffix);
    return decodeFloats(floatDtype(info.name, info.dtype), bytes);
  }

  /** 32-bit words without a sign. */
  words(suffix: string): Uint32Array {
    const { info, bytes } = this.part(suffix);
    if (info.dtype !== 'I32' && info.dtype !== 'U32')
      throw new MergeError(`${info.name} is ${info.dtype}; expected 32-bit words.`);
    return new Uint32Array(new Uint8Array(bytes).buffer);
  }

  bytes(suffix: string): Uint8Array {
    return this.part(suffix).bytes;
  }

  /** Whole numbers of 32 or 64 bits. */
  integers(suffix: string): number[] {
    const { info, bytes } = this.part(suffix);
    const { buffer } = new Uint8Array(bytes);
    if (info.dtype === 'I32') return [...new Int32Array(buffer)];
    if (info.dtype === 'I64') return Array.from(new BigInt64Array(buffer), Number);
    throw new MergeError(`${info.name} is ${info.dtype}; expected whole numbers.`);
  }

  refuse(why: string): MergeError {
    return new MergeError(`${this.name} ${why}.`);
  }
}
