import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { Merged } from '#runtime/merge-streams.js';
import { readerOf } from '../calls/answer-reader.js';
import { PlainReader } from '../calls/plain-reader.js';
import type { Reader, Said } from '../calls/reader.js';

/** The text of the only answer that is generated, as its caller is shown it: without reasoning. */
export async function contentOf(events: AsyncIterable<Merged<GenerateEvent>>): Promise<string> {
  let reader: Reader = new PlainReader();
  let text = '';
  const take = (said: readonly Said[]): void => {
    for (const piece of said) if (piece.kind === 'content') text += piece.text;
  };
  for await (const { value } of events) {
    if (value.type === 'start' && value.formats)
      reader = readerOf(value.formats, { tools: undefined, includeReasoning: false });
    if (value.type === 'tokens') take(reader.push(value.text));
    if (value.type === 'finish') take([...reader.push(value.text), ...reader.end()]);
  }
  return text;
}
