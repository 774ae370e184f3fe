import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { writeNdjson } from './ndjson-writer.js';

/** Takes a line only when `next` is called. */
class SlowReader extends Writable {
  readonly lines: string[] = [];
  #taken: (() => void) | undefined;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.lines.push(chunk.toString());
    this.#taken = done;
  }

  next(): void {
    this.#taken?.();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the NDJSON writer', () => {
  it('fetches the next item only when the reader has taken the last', async () => {
    let fetched = 0;
    const reader = new SlowReader();
    const items = async function* () {
      for (const item of [{ a: 1 }, { a: 2 }]) {
        fetched++;
        yield item;
      }
    };
    const written = writeNdjson(reader, items(), new AbortController().signal);
    await turn();
    expect(fetched).toBe(1);
    reader.next();
    await turn();
    expect(fetched).toBe(2);
    reader.next();
    await written;
    expect(reader.lines).toEqual(['{"a":1}\n', '{"a":2}\n']);
  });

  it('stops waiting for a reader that is gone, and leaves the items', async () => {
    let left = false;
    const items = async function* () {
      try {
        for (;;) yield {};
      } finally {
        left = true;
      }
    };
    const controller = new AbortController();
    const written = writeNdjson(new SlowReader(), items(), controller.signal);
    await turn();
    controller.abort();
    await expect(written).rejects.toThrow('aborted');
    expect(left).toBe(true);
  });
});
