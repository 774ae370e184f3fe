import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ServingFixture } from '../../../test/support/serving-fixture.js';
import { warmUp } from './warm-up.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

it('computes steps without adapters, and leaves no request and no held page behind', async () => {
  const { engine, native } = fixture.open();
  await warmUp({ engine, maxContext: 256, vocabSize: 64, maxSequences: 4 });
  expect(native.maxRows).toBeGreaterThan(1);
  await expect.poll(() => engine.status().load.runningRequests).toBe(0);
  const { kv, pace } = engine.status();
  expect(kv.freePages).toBe(kv.pages);
  expect(pace?.withoutAdapters?.share).toBe(1);
});

it('does nothing that the context has no room for', async () => {
  const { engine, native } = fixture.open();
  await warmUp({ engine, maxContext: 16, vocabSize: 64, maxSequences: 4 });
  expect(native.maxRows).toBe(0);
});
