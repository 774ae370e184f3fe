import type { EngineFleet } from '#fleet/engine-fleet.js';
import type { Draining } from '#runtime/drain.js';
import type { DataSource } from 'typeorm';
import { afterEach, expect, it, vi } from 'vitest';
import { HealthService } from './health.service.js';

afterEach(() => vi.useRealTimers());

it('takes a late answer of the database for a busy one, and a refusal for none', async () => {
  let asked = 0;
  let answer: () => Promise<unknown> = async () => [];
  const query = () => {
    asked += 1;
    return answer();
  };
  const health = new HealthService(
    { query } as unknown as DataSource,
    {
      ready: async () => true,
      add: async () => undefined,
      hasten: async () => undefined,
      close: async () => undefined,
    },
    { ready: () => true } as EngineFleet,
    { begun: false } as Draining,
  );
  const database = async () => (await health.readiness()).checks.database;
  expect(await database()).toBe('up');
  let respond: (rows: unknown[]) => void = () => undefined;
  answer = () => new Promise((resolve) => (respond = resolve));
  expect(await Promise.all([database(), database(), database()])).toEqual(['up', 'up', 'up']);
  expect(asked).toBe(2); // whoever asks at the same time shares one question
  respond([]);
  answer = async () => {
    throw new Error('connection refused');
  };
  await expect.poll(database).toBe('down');
  answer = () => new Promise(() => undefined);
  vi.useFakeTimers();
  const late = database();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await late).toBe('down'); // it was down before it was late
  answer = async () => [];
  await vi.advanceTimersByTimeAsync(10_000); // the question is lost, and another is asked
  expect(await database()).toBe('up');
});
