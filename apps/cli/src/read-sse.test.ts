import { expect, it } from 'vitest';
import { readSse } from './read-sse.js';

async function* chunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

it.each([1, 3, 1000])('reads events whole, however they are cut (%i bytes at a time)', async (size) => {
  const text = ': hello\n\ndata: {"a":"é"}\n\ndata: one\r\ndata: two\r\n\r\ndata: [DONE]\n\ndata: after\n\n';
  expect(await collect(chunks(text, size))).toEqual(['{"a":"é"}', 'one\ntwo']);
});

async function collect(body: AsyncIterable<Uint8Array>): Promise<string[]> {
  const events: string[] = [];
  for await (const event of readSse(body)) events.push(event);
  return events;
}
