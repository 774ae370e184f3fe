import { describe, expect, it } from 'vitest';
import { readLines } from './ndjson.js';

async function linesOf(chunks: (string | Uint8Array)[], maxLineBytes?: number): Promise<string[]> {
  async function* source() {
    for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  }
  const lines: string[] = [];
  for await (const line of readLines(source(), maxLineBytes)) lines.push(line);
  return lines;
}

describe('readLines', () => {
  it('joins a line that is cut anywhere, also inside a character', async () => {
    const text = Buffer.from('{"a":"é☃"}\n{"b":1}\n');
    for (let size = 1; size <= text.length; size += 1) {
      const chunks = [];
      for (let at = 0; at < text.length; at += size) chunks.push(text.subarray(at, at + size));
      expect(await linesOf(chunks)).toEqual(['{"a":"é☃"}', '{"b":1}']);
    }
  });

  it('reads many lines of one chunk and skips empty ones', async () => {
    expect(await linesOf(['1\n\n2\n3\n'])).toEqual(['1', '2', '3']);
  });

  it('does not yield a line without its end', async () => {
    expect(await linesOf(['1\n{"half'])).toEqual(['1']);
  });

  it('refuses a line that grows beyond the limit', async () => {
    await expect(linesOf(['12345', '67890'], 8)).rejects.toThrow('longer than 8 bytes');
  });
});
