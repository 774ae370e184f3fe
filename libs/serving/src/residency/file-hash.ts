import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';

const PIECE_BYTES = 2 ** 19;

/**
 * SHA-256 (hex) of a file's bytes. One piece is read while the one before is hashed, in two buffers: a stream's fresh
 * ones cost more than the hash (touching new memory is dear in a virtual machine).
 */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  try {
    const buffers = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)] as const;
    let reading = file.read(buffers[0]);
    for (let piece = 1; ; piece++) {
      const { bytesRead, buffer } = await reading;
      signal?.throwIfAborted();
      if (bytesRead === 0) return hash.digest('hex');
      reading = file.read(buffers[piece % 2 === 0 ? 0 : 1]);
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** SHA-256 (hex) of a part of a file. */
export async function hashSpan(path: string, span: { begin: number; end: number }): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafe(PIECE_BYTES);
    for (let at = span.begin; at < span.end; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE_BYTES, span.end - at), at);
      if (bytesRead === 0) throw new Error(`${path} ends before byte ${span.end}`);
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

/** What tells that a file is the one hashed before; content-addressed files and checkpoints are never edited in place. */
export async function fileStamp(path: string): Promise<string> {
  const { size, mtimeMs, ino } = await stat(path);
  return `${size}:${mtimeMs}:${ino}`;
}
