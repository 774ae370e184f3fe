import type { Readable } from 'node:stream';

/** A line of a file that is not blank. */
export interface FileLine {
  /** From 1; blank lines count. */
  readonly number: number;
  /** Undefined: it is longer than the limit. */
  readonly bytes: Buffer | undefined;
}

const NEWLINE = 10;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** The lines of a file as they come; of one that is too long no more than the limit is held. */
export async function* jsonlLines(source: Readable, limitBytes: number): AsyncGenerator<FileLine> {
  let number = 1;
  let pieces: Buffer[] = [];
  let length = 0;
  const take = (piece: Buffer): void => {
    length += piece.length;
    if (length <= limitBytes) pieces.push(piece);
    else pieces = [];
  };
  const line = (): FileLine | undefined => {
    const found = length > limitBytes ? { number, bytes: undefined } : filled(number, Buffer.concat(pieces));
    number += 1;
    [pieces, length] = [[], 0];
    return found;
  };
  for await (const chunk of source as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, end));
      from = end + 1;
      const found = line();
      if (found) yield found;
    }
    take(chunk.subarray(from));
  }
  const last = line();
  if (last) yield last;
}

function filled(number: number, bytes: Buffer): FileLine | undefined {
  const hasMark = number === 1 && bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
  const content = hasMark ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
  return /\S/.test(content.toString('latin1')) ? { number, bytes: content } : undefined;
}
