import { SafetensorsError } from './error.js';
import {
  LENGTH_BYTES,
  MAX_HEADER_BYTES,
  parseHeader,
  parseHeaderLength,
  type SafetensorsHeader,
} from './header.js';

export interface ValidatorLimits {
  readonly maxHeaderBytes?: number;
}

/**
 * Checks a file while it passes by, holding nothing but its header. `push` throws a SafetensorsError at the first chunk
 * that cannot belong to a valid file; `finish` says that all has come and answers the header.
 */
export class SafetensorsValidator {
  private readonly maxHeaderBytes: number;
  private readonly lengthBytes = new Uint8Array(LENGTH_BYTES);
  private headerBytes: Uint8Array | undefined;
  private parsed: SafetensorsHeader | undefined;
  private seenBytes = 0;

  constructor(limits: ValidatorLimits = {}) {
    this.maxHeaderBytes = limits.maxHeaderBytes ?? MAX_HEADER_BYTES;
  }

  /** Known as soon as its last byte has come. */
  get header(): SafetensorsHeader | undefined {
    return this.parsed;
  }

  push(chunk: Uint8Array): void {
    let rest = chunk;
    while (this.parsed === undefined && rest.length > 0) rest = this.takeHeader(rest);
    this.seenBytes += rest.length;
    if (this.parsed !== undefined && this.seenBytes > this.parsed.fileBytes) {
      throw new SafetensorsError('trailing_bytes', 'The file goes on after its last tensor', {
        expected: `${this.parsed.fileBytes} bytes`,
        found: `at least ${this.seenBytes} bytes`,
      });
    }
  }

  finish(): SafetensorsHeader {
    if (this.parsed === undefined) {
      throw new SafetensorsError('header_truncated', 'The file ends before its header does', {
        expected: `${this.headerBytes ? LENGTH_BYTES + this.headerBytes.length : LENGTH_BYTES} bytes or more`,
        found: `${this.seenBytes} bytes`,
      });
    }
    if (this.seenBytes < this.parsed.fileBytes) {
      const cut = this.parsed.tensors.find((tensor) => tensor.end > this.seenBytes);
      throw new SafetensorsError('data_truncated', `The file ends inside ${cut?.name ?? 'its data'}`, {
        ...(cut ? { tensor: cut.name } : {}),
        expected: `${this.parsed.fileBytes} bytes`,
        found: `${this.seenBytes} bytes`,
      });
    }
    return this.parsed;
  }

  /** Takes what belongs to the length or to the header, and answers the rest. */
  private takeHeader(chunk: Uint8Array): Uint8Array {
    const target = this.headerBytes ?? this.lengthBytes;
    const filled = this.seenBytes - (this.headerBytes ? LENGTH_BYTES : 0);
    const part = chunk.subarray(0, target.length - filled);
    target.set(part, filled);
    this.seenBytes += part.length;
    if (filled + part.length === target.length) this.completed(target);
    return chunk.subarray(part.length);
  }

  private completed(target: Uint8Array): void {
    if (target === this.headerBytes) {
      this.parsed = parseHeader(target);
      return;
    }
    this.headerBytes = new Uint8Array(parseHeaderLength(this.lengthBytes, this.maxHeaderBytes));
    if (this.headerBytes.length === 0) this.parsed = parseHeader(this.headerBytes);
  }
}
