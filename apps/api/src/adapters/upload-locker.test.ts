import { describe, expect, it } from 'vitest';
import { UploadLocker } from './upload-locker.js';

const never = new AbortController().signal;
const settled = () => new Promise<void>((done) => setImmediate(done));

/** Takes the upload and notes that it has it. */
function taking(locker: UploadLocker, order: string[]) {
  return (name: string, { signal = never, asked = () => undefined as void } = {}) => {
    const lock = locker.newLock('one');
    return { lock, got: lock.lock(signal, asked).then(() => void order.push(name)) };
  };
}

describe('UploadLocker', () => {
  it('gives an upload to one request at a time, in their order, and asks who holds it to end', async () => {
    const order: string[] = [];
    const asks: string[] = [];
    const take = taking(new UploadLocker(), order);
    const first = take('first', { asked: () => void asks.push('first') });
    const second = take('second', { asked: () => void asks.push('second') });
    const third = take('third');
    await settled();
    expect(order).toEqual(['first']);
    expect(asks).toEqual(['first', 'first']);
    await first.lock.unlock();
    await second.got;
    expect(asks).toEqual(['first', 'first', 'second']); // somebody waits behind it
    expect(order).toEqual(['first', 'second']);
    await second.lock.unlock();
    await third.got;
    await third.lock.unlock();
    await take('fourth').got;
    expect(order).toEqual(['first', 'second', 'third', 'fourth']);
  });

  it('lets a request that went away, or waited too long, out of the line', async () => {
    const order: string[] = [];
    const take = taking(new UploadLocker(5), order);
    const holder = take('holder');
    const gone = new AbortController();
    const aborted = take('aborted', { signal: gone.signal });
    gone.abort();
    await expect(aborted.got).rejects.toMatchObject({ code: 'conflict' });
    await expect(take('late').got).rejects.toMatchObject({ code: 'conflict' });
    await holder.lock.unlock();
    await aborted.lock.unlock(); // never had it
    await take('next').got;
    expect(order).toEqual(['holder', 'next']);
  });

  it('keeps uploads apart', async () => {
    const locker = new UploadLocker();
    await locker.newLock('a').lock(never, () => undefined);
    await expect(locker.newLock('b').lock(never, () => undefined)).resolves.toBeUndefined();
  });
});
