import { describe, expect, it } from 'vitest';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { EventStream } from './event-stream.js';

const tokens = (...ids: number[]): GenerateEvent => ({ type: 'tokens', text: ids.join(), ids });
const END: GenerateEvent = { type: 'error', code: 'internal_error', message: 'end' };

function stream(limitTokens: number): { events: EventStream; log: string[] } {
  const log: string[] = [];
  const events = new EventStream(limitTokens, {
    full: () => log.push('full'),
    drained: () => log.push('drained'),
    abandoned: () => log.push('abandoned'),
  });
  return { events, log };
}

describe('the event stream', () => {
  it('joins tokens that the reader has not fetched', async () => {
    const { events } = stream(100);
    events.push(tokens(1));
    events.push(tokens(2, 3));
    events.push(END);
    const read: GenerateEvent[] = [];
    for await (const event of events) read.push(event);
    expect(read).toEqual([{ type: 'tokens', text: '12,3', ids: [1, 2, 3] }, END]);
  });

  it('says when too much lies unread and when it has been read', async () => {
    const { events, log } = stream(2);
    for (let i = 0; i < 5; i++) events.push(tokens(i));
    expect(log).toEqual(['full']);
    const reader = events[Symbol.asyncIterator]();
    await reader.next();
    expect(log).toEqual(['full', 'drained']);
    await reader.return(undefined);
    expect(log).toEqual(['full', 'drained', 'abandoned']);
  });

  it('wakes a waiting reader and ends after the last event', async () => {
    const { events, log } = stream(2);
    const reader = events[Symbol.asyncIterator]();
    const first = reader.next();
    events.push(END);
    events.push(tokens(1)); // nothing comes after the end
    expect((await first).value).toEqual(END);
    expect((await reader.next()).done).toBe(true);
    expect(log).toEqual([]);
  });
});
