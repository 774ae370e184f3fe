import type { EngineFleet } from '#fleet/engine-fleet.js';
import type { Draining } from '#runtime/drain.js';
import type { DataSource } from 'typeorm';
import { expect, it } from 'vitest';
import { HealthService } from './health.service.js';

const refuse = async () => {
  throw new Error('connection refused');
};

function health({ query = async () => [], answers = async () => undefined, engine = true, begun = false }) {
  return new HealthService(
    { query } as unknown as DataSource,
    {
      ready: async () => true,
      answers,
      add: async () => undefined,
      hasten: async () => undefined,
      close: async () => undefined,
    },
    { ready: () => engine, base: refuse } as unknown as EngineFleet,
    { begun } as Draining,
  );
}

it('is ready where everything answers', async () => {
  const checks = { database: 'up', queue: 'up', engine: 'up' };
  expect(await health({}).readiness()).toEqual({ status: 'ready', checks });
});

it.each([
  ['database', { query: refuse }],
  ['queue', { answers: refuse }],
  ['engine', { engine: false }],
] as const)('names the %s that is away', async (name, fault) => {
  const checks = { database: 'up', queue: 'up', engine: 'up', [name]: 'down' };
  expect(await health(fault).readiness()).toEqual({ status: 'not_ready', checks });
});

it('is not ready while it drains', async () => {
  expect((await health({ begun: true }).readiness()).status).toBe('not_ready');
});
