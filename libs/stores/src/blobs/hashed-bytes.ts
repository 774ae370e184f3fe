import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError } from '#runtime/app-error.js';
import type { BlobInfo } from './blob-store.js';

/** A stream that is hashed and measured while somebody else reads it. */
export class HashedBytes {
  readonly #hash = createHash('sha256');
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #limitBytes: number;
  readonly #signal: AbortSignal | undefined;
  #bytes = 0;
  #info: BlobInfo | undefined;
  /** Why the stream ended too early; whoever reads through another library may see a different error. */
  failure: unknown;

  constructor(source: Readable, { limitBytes, signal }: { limitBytes: number; signal?: AbortSignal }) {
    // The source may break before it is first read; the error then comes out of the read itself.
    source.on('error', () => undefined);
    this.#chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    this.#limitBytes = limitBytes;
    this.#signal = signal;
    signal?.addEventListener('abort', () => source.destroy(signal.reason as Error), { once: true });
  }

  /** At least `bytes` bytes from the beginning, or all there are. */
  async first(bytes: number): Promise<{ bytes: Buffer; isWhole: boolean }> {
    const chunks: Buffer[] = [];
    while (this.#bytes < bytes) {
      const chunk = await this.#next();
      if (chunk === undefined) return { bytes: Buffer.concat(chunks), isWhole: true };
      chunks.push(chunk);
    }
    return { bytes: Buffer.concat(chunks), isWhole: false };
  }

  /** `head`, which was read before, and then the rest. */
  rest(head: Buffer): Readable {
    return Readable.from(this.#all(head), { objectMode: false });
  }

  /** Known once the end was read. */
  info(): BlobInfo {
    if (!this.#info) throw new Error('the stream was not read to its end');
    return this.#info;
  }

  async *#all(head: Buffer): AsyncGenerator<Buffer> {
    yield head;
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) yield chunk;
  }

  async #next(): Promise<Buffer | undefined> {
    try {
      this.#signal?.throwIfAborted();
      const { done, value } = await this.#chunks.next();
      if (done === true) {
        this.#info = { sha256: this.#hash.digest('hex'), bytes: this.#bytes };
        return undefined;
      }
      this.#bytes += value.length;
      if (this.#bytes > this.#limitBytes) {
        throw new AppError('payload_too_large', {
          message: `The file is larger than the ${this.#limitBytes} bytes allowed.`,
        });
      }
      this.#hash.update(value);
      return value;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}
