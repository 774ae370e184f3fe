import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keeps the sums row by row; 0039 replaces it, and comes back to it. */
export const COUNT_BY_ROW: readonly string[] = [
  `
  CREATE FUNCTION count_stored_file() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO tenant_storage (tenant_id) VALUES (NEW.tenant_id)
      ON CONFLICT (tenant_id) DO UPDATE SET stored_bytes = tenant_storage.stored_bytes;
    UPDATE tenant_blobs SET holders = holders + 1 WHERE tenant_id = NEW.tenant_id AND sha256 = NEW.sha256;
    IF NOT FOUND THEN
      INSERT INTO tenant_blobs (tenant_id, sha256, bytes, holders)
        VALUES (NEW.tenant_id, NEW.sha256, NEW.bytes, 1);
      UPDATE tenant_storage SET stored_bytes = stored_bytes + NEW.bytes WHERE tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
  END $$`,
  `
  CREATE FUNCTION uncount_stored_file() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    freed bigint;
  BEGIN
    PERFORM 1 FROM tenant_storage WHERE tenant_id = OLD.tenant_id FOR UPDATE;
    UPDATE tenant_blobs SET holders = holders - 1 WHERE tenant_id = OLD.tenant_id AND sha256 = OLD.sha256;
    DELETE FROM tenant_blobs
      WHERE tenant_id = OLD.tenant_id AND sha256 = OLD.sha256 AND holders = 0 RETURNING bytes INTO freed;
    IF FOUND THEN
      UPDATE tenant_storage SET stored_bytes = stored_bytes - freed WHERE tenant_id = OLD.tenant_id;
    END IF;
    RETURN NULL;
  END $$`,
  `
  CREATE TRIGGER version_files_count AFTER INSERT ON version_files
    FOR EACH ROW WHEN (NEW.name <> 'manifest.json') EXECUTE FUNCTION count_stored_file()`,
  `
  CREATE TRIGGER version_files_uncount AFTER DELETE ON version_files
    FOR EACH ROW WHEN (OLD.name <> 'manifest.json') EXECUTE FUNCTION uncount_stored_file()`,
];

/** Its counterpart. */
export const COUNT_NO_MORE: readonly string[] = [
  'DROP TRIGGER version_files_uncount ON version_files',
  'DROP TRIGGER version_files_count ON version_files',
  'DROP FUNCTION uncount_stored_file()',
  'DROP FUNCTION count_stored_file()',
];

/**
 * Distinct bytes that each tenant holds, kept by triggers: rows of version_files also go by cascade, and no path that
 * inserts or deletes them may forget the sum. A file that we make ourselves (manifest.json) does not count.
 * The row of tenant_storage is locked before any of tenant_blobs, so two changes of one tenant never deadlock.
 */
export class TenantStorage1763600000010 implements MigrationInterface {
  name = 'TenantStorage1763600000010';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE tenant_storage (
        tenant_id uuid NOT NULL CONSTRAINT tenant_storage_pkey PRIMARY KEY,
        stored_bytes bigint NOT NULL DEFAULT 0
      )`);
    await runner.query(`
      CREATE TABLE tenant_blobs (
        tenant_id uuid NOT NULL,
        sha256 text NOT NULL,
        bytes bigint NOT NULL,
        holders bigint NOT NULL,
        CONSTRAINT tenant_blobs_pkey PRIMARY KEY (tenant_id, sha256)
      )`);
    for (const sql of COUNT_BY_ROW) await runner.query(sql);
    await runner.query(`
      INSERT INTO tenant_blobs (tenant_id, sha256, bytes, holders)
      SELECT tenant_id, sha256, min(bytes), count(*) FROM version_files
      WHERE name <> 'manifest.json' GROUP BY tenant_id, sha256`);
    await runner.query(`
      INSERT INTO tenant_storage (tenant_id, stored_bytes)
      SELECT tenant_id, sum(bytes) FROM tenant_blobs GROUP BY tenant_id`);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const sql of COUNT_NO_MORE) await runner.query(sql);
    await runner.query('DROP TABLE tenant_blobs');
    await runner.query('DROP TABLE tenant_storage');
  }
}
