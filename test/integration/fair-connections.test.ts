import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let greedy: Client;
let other: Client;
let locker: pg.Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false, env: { DATABASE_POOL_SIZE: '5' } });
  greedy = new Client(platform.url, (await platform.tenant('greedy')).key);
  other = new Client(platform.url, (await platform.tenant('other')).key);
  await greedy.expect(201, 'POST', '/v1/adapters', { name: 'bot' });
  locker = new pg.Client({ connectionString: platform.postgres.url });
  await locker.connect();
});
afterAll(async () => {
  await locker?.end();
  await platform?.close();
});

it('leaves a connection to others where one tenant has dozens of calls that wait for PostgreSQL', async () => {
  await locker.query('BEGIN');
  await locker.query('SELECT * FROM adapters FOR UPDATE');
  let ended = 0;
  const waiting = Array.from({ length: 40 }, async () => {
    await greedy.call('PATCH', '/v1/adapters/bot', { description: 'x' });
    ended += 1;
  });
  const waitingInDatabase = async () =>
    (
      await platform.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
      )
    )[0]?.count;
  await expect.poll(waitingInDatabase).toBe(4);
  await other.expect(201, 'POST', '/v1/adapters', { name: 'mine' });
  await other.expect(200, 'GET', '/v1/adapters/mine');
  expect(await waitingInDatabase()).toBe(4);
  expect(ended).toBe(0);
  await locker.query('ROLLBACK');
  await Promise.all(waiting);
  await greedy.expect(200, 'PATCH', '/v1/adapters/bot', { description: 'y' });
});
