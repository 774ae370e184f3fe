/** A line longer than this is no event of ours; reading on would only fill memory. */
const MAX_LINE_BYTES = 256 * 2 ** 20;

/**
 * Yields the complete lines of a byte stream, however the bytes are cut into chunks. Bytes after the last
 * newline are half an event and are not yielded.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes = MAX_LINE_BYTES,
): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    let begin = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, begin)) {
      pieces.push(chunk.subarray(begin, end));
      const line = Buffer.concat(pieces).toString('utf8');
      pieces = [];
      pendingBytes = 0;
      begin = end + 1;
      if (line.length > 0) yield line;
    }
    if (begin < chunk.length) {
      pieces.push(chunk.subarray(begin));
      pendingBytes += chunk.length - begin;
      if (pendingBytes > maxLineBytes) throw new RangeError(`a line is longer than ${maxLineBytes} bytes`);
    }
  }
}

const NEWLINE = 0x0a;
