import type { MigrationInterface, QueryRunner } from 'typeorm';
import { COUNT_BY_ROW, COUNT_NO_MORE } from './0010-tenant-storage.js';

/*
 * As in 0010, the rows of tenant_storage are locked, in the order of their ids, before any of tenant_blobs. What reads a
 * transition table runs by EXECUTE, which plans it for the rows at hand: a plan kept from a statement of one row would
 * join thousands by nested loops.
 */

export const COUNT = `
  CREATE FUNCTION count_stored_files() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE $sql$
      INSERT INTO tenant_storage (tenant_id)
      SELECT DISTINCT tenant_id FROM added_files WHERE name <> 'manifest.json' ORDER BY tenant_id
      ON CONFLICT (tenant_id) DO UPDATE SET stored_bytes = tenant_storage.stored_bytes
    $sql$;
    EXECUTE $sql$
      WITH added AS (
        SELECT tenant_id, sha256, min(bytes) AS bytes, count(*) AS holders FROM added_files
        WHERE name <> 'manifest.json' GROUP BY tenant_id, sha256
      ), counted AS (
        INSERT INTO tenant_blobs AS held (tenant_id, sha256, bytes, holders)
        SELECT tenant_id, sha256, bytes, holders FROM added
        ON CONFLICT (tenant_id, sha256) DO UPDATE SET holders = held.holders + excluded.holders
        RETURNING tenant_id, sha256, bytes, holders
      ), fresh AS ( -- nobody held these before
        SELECT tenant_id, sum(counted.bytes) AS bytes FROM counted JOIN added USING (tenant_id, sha256)
        WHERE counted.holders = added.holders GROUP BY tenant_id
      )
      UPDATE tenant_storage SET stored_bytes = stored_bytes + fresh.bytes
      FROM fresh WHERE tenant_storage.tenant_id = fresh.tenant_id
    $sql$;
    RETURN NULL;
  END $$`;

export const UNCOUNT = `
  CREATE FUNCTION uncount_stored_files() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE $sql$
      SELECT FROM tenant_storage
      WHERE tenant_id IN (SELECT tenant_id FROM removed_files WHERE name <> 'manifest.json')
      ORDER BY tenant_id FOR UPDATE
    $sql$;
    EXECUTE $sql$
      UPDATE tenant_blobs AS held SET holders = held.holders - removed.holders
      FROM (
        SELECT tenant_id, sha256, count(*) AS holders FROM removed_files
        WHERE name <> 'manifest.json' GROUP BY tenant_id, sha256
      ) AS removed
      WHERE held.tenant_id = removed.tenant_id AND held.sha256 = removed.sha256
    $sql$;
    EXECUTE $sql$
      WITH freed AS (
        DELETE FROM tenant_blobs AS held
        USING (SELECT DISTINCT tenant_id, sha256 FROM removed_files WHERE name <> 'manifest.json') AS removed
        WHERE held.tenant_id = removed.tenant_id AND held.sha256 = removed.sha256 AND held.holders = 0
        RETURNING held.tenant_id, held.bytes
      )
      UPDATE tenant_storage SET stored_bytes = stored_bytes - gone.bytes
      FROM (SELECT tenant_id, sum(bytes) AS bytes FROM freed GROUP BY tenant_id) AS gone
      WHERE tenant_storage.tenant_id = gone.tenant_id
    $sql$;
    RETURN NULL;
  END $$`;

/** Of one event, triggers run by name: an update counts what is new before it forgets what was. */
const TRIGGERS = {
  version_files_count: 'INSERT ON version_files REFERENCING NEW TABLE AS added_files',
  version_files_recount: 'UPDATE ON version_files REFERENCING NEW TABLE AS added_files',
  version_files_reuncount: 'UPDATE ON version_files REFERENCING OLD TABLE AS removed_files',
  version_files_uncount: 'DELETE ON version_files REFERENCING OLD TABLE AS removed_files',
};

/**
 * The sums of stored bytes once per statement. Row by row, each row of a large statement waded through the versions of
 * the tenant's sum that the rows before it had left: time grew with the square of the rows.
 */
export class StorageByStatement1763600000039 implements MigrationInterface {
  name = 'StorageByStatement1763600000039';

  async up(runner: QueryRunner): Promise<void> {
    for (const sql of [...COUNT_NO_MORE, COUNT, UNCOUNT]) await runner.query(sql);
    for (const [name, event] of Object.entries(TRIGGERS)) {
      const count = event.includes('NEW TABLE') ? 'count_stored_files' : 'uncount_stored_files';
      await runner.query(
        `CREATE TRIGGER ${name} AFTER ${event} FOR EACH STATEMENT EXECUTE FUNCTION ${count}()`,
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const name of Object.keys(TRIGGERS)) await runner.query(`DROP TRIGGER ${name} ON version_files`);
    for (const sql of ['DROP FUNCTION uncount_stored_files()', 'DROP FUNCTION count_stored_files()'])
      await runner.query(sql);
    for (const sql of COUNT_BY_ROW) await runner.query(sql);
  }
}
