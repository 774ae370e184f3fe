import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashFile } from './file-hash.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-hash-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the hash of a file', () => {
  const piece = 2 ** 19;
  it.each([0, 1, piece - 1, piece, piece + 1, 2 * piece, 5 * piece + 77])(
    'is SHA-256 of all of its %d bytes, however many pieces they are read in',
    async (bytes) => {
      const content = randomBytes(bytes);
      const path = join(folder, 'file');
      writeFileSync(path, content);
      expect(await hashFile(path)).toBe(createHash('sha256').update(content).digest('hex'));
    },
  );

  it('stops when it is told to', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, randomBytes(3 * piece));
    await expect(hashFile(path, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});
