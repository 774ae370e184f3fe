import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes each item as a line of JSON, as fast as the reader takes them. An aborted `signal` ends the wait for a reader. */
export async function writeNdjson(
  to: Writable,
  items: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<void> {
  for await (const item of items) {
    if (to.destroyed) return;
    if (!to.write(`${JSON.stringify(item)}\n`)) await once(to, 'drain', { signal });
  }
}
