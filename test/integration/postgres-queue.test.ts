import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { Platform } from '../support/platform.js';

const MODEL = 'llama3-rope-tied-sharded';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ queue: 'postgres', model: MODEL });
  acme = await platform.tenant('acme');
});
afterAll(() => platform?.close());

describe('without Redis', () => {
  it('jobs wait in PostgreSQL, and an adapter of a tied base becomes ready', async () => {
    const folder = join(goldenFolder(MODEL), 'adapters/all-r8');
    expect(await acme.uploadFolder('all-r8', folder)).toMatchObject({
      status: 201,
      body: { state: 'ready', base_model: MODEL },
    });
    expect(await acme.uploadFolder('all-r8', folder)).toMatchObject({ body: { version: 2, state: 'ready' } });
    expect((await fetch(`${platform.url}/health/ready`)).status).toBe(200);
  });
});
