/// <reference lib="es2024.arraybuffer" />
import type { IncomingMessage } from 'node:http';
import { AppError } from '#runtime/app-error.js';
import type { BodyBudget, BodyHolder } from './body-budget.js';
import { decoded, encodingOf } from './body-decoding.js';
import type { FairWork } from './fair-work.js';
import type { JsonScanner } from './json-scanner.js';

export interface ReceiveOptions {
  readonly limitBytes: number;
  readonly holder: BodyHolder;
  readonly budget: BodyBudget;
  readonly work: FairWork;
  /** Sees every byte as it comes, and may refuse it. */
  readonly scanner: JsonScanner | undefined;
}

const FIRST_CAPACITY_BYTES = 16 * 1024;
/** Bodies of more than this lie in memory that grows in place and goes back at once, whenever garbage is collected next. */
const IN_PLACE_BYTES = 64 * 1024;
/** Bytes that are scanned in one piece of work. */
const SCAN_BYTES = 64 * 1024;

/** Reads a whole body into memory, within its limits. What it holds is counted until `release` is called. */
export class BodyReceiver {
  #buffer: Buffer = Buffer.alloc(0);
  /** Of a large body: only as much of its address range as it needs has memory behind it. */
  #range: ArrayBuffer | undefined;
  #length = 0;
  #scanned = 0;
  #taken = 0;

  constructor(private readonly options: ReceiveOptions) {}

  /** Leaves the connection as it is when it fails, so that the answer can be sent. */
  async receive(request: IncomingMessage): Promise<Buffer> {
    const source = decoded(request, encodingOf(request));
    try {
      for await (const piece of source.iterator({ destroyOnReturn: false })) {
        this.#append(piece as Buffer);
        if (this.#length - this.#scanned >= SCAN_BYTES) await this.#scan(request);
      }
      await this.#scan(request);
    } catch (error) {
      this.free();
      throw faultOf(error, request);
    } finally {
      if (source !== request) {
        request.unpipe();
        source.destroy();
      }
    }
    return this.#buffer.subarray(0, this.#length);
  }

  release(): void {
    this.options.budget.give(this.options.holder, this.#taken);
    this.#taken = 0;
    this.#buffer = Buffer.alloc(0); // errors of a request may outlive it, and their stacks hold this object
  }

  /** Gives the bytes back that `receive` returned: they are empty from now on. */
  free(): void {
    this.#range?.resize(0);
    this.#range = undefined;
  }

  #append(piece: Buffer): void {
    const { limitBytes } = this.options;
    const length = this.#length + piece.length;
    if (length > limitBytes) throw tooLarge(limitBytes);
    if (length > this.#buffer.length) this.#grow(length);
    piece.copy(this.#buffer, this.#length);
    this.#length = length;
  }

  #grow(length: number): void {
    const { limitBytes, budget, holder } = this.options;
    const capacity = Math.min(limitBytes, Math.max(FIRST_CAPACITY_BYTES, this.#buffer.length * 2, length));
    const more = capacity - this.#buffer.length;
    budget.take(holder, more);
    this.#taken += more;
    if (this.#range) {
      this.#range.resize(capacity);
      this.#buffer = Buffer.from(this.#range);
      return;
    }
    const larger = capacity > IN_PLACE_BYTES ? this.#reserve(capacity) : Buffer.allocUnsafe(capacity);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  #reserve(capacity: number): Buffer {
    this.#range = new ArrayBuffer(capacity, { maxByteLength: this.options.limitBytes });
    return Buffer.from(this.#range);
  }

  async #scan(request: IncomingMessage): Promise<void> {
    const { scanner, work, holder } = this.options;
    const bytes = this.#buffer.subarray(this.#scanned, this.#length);
    this.#scanned = this.#length;
    if (!scanner || bytes.length === 0) return;
    if (bytes.length < FIRST_CAPACITY_BYTES) scanner.scan(bytes);
    else
      await work.run(holder.owner, () => {
        // Its turn comes when nobody waits for it any more: those behind it do.
        if (request.destroyed && !request.complete) throw new AppError('client_closed_request');
        scanner.scan(bytes);
      });
  }
}

function faultOf(error: unknown, request: IncomingMessage): unknown {
  if (error instanceof AppError) return error;
  if (request.destroyed && !request.complete) return new AppError('client_closed_request', { cause: error });
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code !== 'string' || !/^(Z_|ERR_BROTLI|ERR__ERROR|ERR_PADDING)/.test(code)) return error;
  return new AppError('invalid_request', {
    message: 'The body is not packed as its content-encoding says.',
    cause: error,
  });
}

export function tooLarge(limitBytes: number): AppError {
  return new AppError('payload_too_large', {
    message: `The body of this call may have at most ${limitBytes} bytes.`,
  });
}
