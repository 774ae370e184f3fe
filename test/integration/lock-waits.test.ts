import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let other: pg.Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  const { key } = await platform.tenant('acme');
  acme = new Client(await platform.startApi({ DATABASE_STATEMENT_MS: '1000' }), key);
  await new Client(platform.url, key).expect(201, 'POST', '/v1/adapters', { name: 'bot' });
  other = new pg.Client({ connectionString: platform.postgres.url });
  await other.connect();
});
afterAll(async () => {
  await other?.end();
  await platform?.close();
});

it('answers 503 where a lock is not given in time, and serves again once it is', async () => {
  await other.query('BEGIN');
  await other.query('SELECT * FROM adapters FOR UPDATE');
  const form = () => formOf(Object.entries(goldenFiles('qv-r8')));
  const answers = await Promise.all([
    acme.call('PATCH', '/v1/adapters/bot', { description: 'x' }),
    acme.call('DELETE', '/v1/adapters/bot'),
    acme.call('POST', '/v1/adapters/bot/versions', form()),
  ]);
  for (const { status, headers, body } of answers) {
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { error: { code: 'dependency_unavailable' } },
    });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  }
  await other.query('ROLLBACK');
  const change = () => acme.call('PATCH', '/v1/adapters/bot', { description: 'x' });
  await expect.poll(async () => (await change()).status).toBe(200); // a busy machine may take a second for it
});
