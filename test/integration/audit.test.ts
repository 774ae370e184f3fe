import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEntryResource } from '#contracts/audit-api.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let sql: pg.Client;

beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  sql = new pg.Client({ connectionString: platform.postgres.url });
  await sql.connect();
}, 120_000);

afterAll(async () => {
  await sql?.end();
  await platform?.close();
});

describe('the audit log', () => {
  it.each([
    ['an update', "UPDATE audit_entries SET action = 'x.y'"],
    ['an update of no row', "UPDATE audit_entries SET action = 'x.y' WHERE false"],
    ['a deletion', 'DELETE FROM audit_entries'],
    ['a truncation', 'TRUNCATE audit_entries'],
  ])('refuses %s', async (_, statement) => {
    await platform.admin.call('POST', '/v1/admin/tenants', { name: 'kept' });
    await expect(sql.query(statement)).rejects.toThrow('audit_entries is append-only');
  });
});
