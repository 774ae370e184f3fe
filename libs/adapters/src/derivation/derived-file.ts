import { type FileHandle, open, rm } from 'node:fs/promises';
import type { Dtype } from '#safetensors/dtype.js';
import { layOut } from '#safetensors/writer.js';

const COPY_BYTES = 2 ** 20;

interface Written {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Where it lies among what was written. */
  readonly begin: number;
  readonly bytes: number;
}

/** A safetensors file whose tensors come one by one and whose header is known when the last has come. */
export class DerivedFile {
  readonly #tensors: Written[] = [];
  #bytes = 0;

  private constructor(
    private readonly path: string,
    private readonly data: FileHandle,
  ) {}

  static async create(path: string): Promise<DerivedFile> {
    return new DerivedFile(path, await open(`${path}.data`, 'w+', 0o600));
  }

  async add(name: string, dtype: Dtype, shape: readonly number[], bytes: Uint8Array): Promise<void> {
    const tensor = { name, dtype, shape, begin: this.#bytes, bytes: bytes.length };
    await writeAll(this.data, bytes, this.#bytes);
    this.#bytes += bytes.length;
    this.#tensors.push(tensor);
  }

  /** Writes the file. */
  async finish(): Promise<void> {
    const { head, order } = layOut(this.#tensors, { format: 'pt' });
    const file = await open(this.path, 'w', 0o600);
    try {
      await writeAll(file, head, 0);
      let at = head.length;
      const buffer = Buffer.alloc(COPY_BYTES);
      for (const { begin, bytes } of order) {
        for (let done = 0; done < bytes; ) {
          const { bytesRead } = await this.data.read(
            buffer,
            0,
            Math.min(COPY_BYTES, bytes - done),
            begin + done,
          );
          if (bytesRead === 0) throw new Error('the data of a derived file is shorter than what was written');
          await writeAll(file, buffer.subarray(0, bytesRead), at + done);
          done += bytesRead;
        }
        at += bytes;
      }
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    await this.data.close();
    await rm(`${this.path}.data`, { force: true });
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
