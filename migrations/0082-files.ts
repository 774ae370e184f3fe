import type { MigrationInterface, QueryRunner } from 'typeorm';
import { COUNT, UNCOUNT } from './0039-storage-by-statement.js';

/** As the functions of version_files, where files that we make ourselves do not count: of these all do. */
const ofFiles = (sql: string): string =>
  sql.replace('count_stored_files', 'count_kept_files').replaceAll(" WHERE name <> 'manifest.json'", '');

/** Files of /v1/files: blobs of a tenant, which count among the bytes that it stores. */
export class Files1763600000082 implements MigrationInterface {
  name = 'Files1763600000082';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE files (
        id uuid NOT NULL CONSTRAINT files_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        filename text NOT NULL,
        purpose text NOT NULL CONSTRAINT files_purpose_check CHECK (purpose IN ('batch', 'batch_output')),
        sha256 text NOT NULL,
        bytes bigint NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz
      )`);
    await runner.query('CREATE INDEX files_tenant_id_idx ON files (tenant_id, id)');
    await runner.query('CREATE INDEX files_sha256_idx ON files (sha256)');
    await runner.query('CREATE INDEX files_expires_at_idx ON files (expires_at)');
    for (const sql of [COUNT, UNCOUNT]) await runner.query(ofFiles(sql));
    await runner.query(`
      CREATE TRIGGER files_count AFTER INSERT ON files REFERENCING NEW TABLE AS added_files
        FOR EACH STATEMENT EXECUTE FUNCTION count_kept_files()`);
    await runner.query(`
      CREATE TRIGGER files_uncount AFTER DELETE ON files REFERENCING OLD TABLE AS removed_files
        FOR EACH STATEMENT EXECUTE FUNCTION uncount_kept_files()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DELETE FROM files');
    await runner.query('DROP TABLE files');
    await runner.query('DROP FUNCTION uncount_kept_files()');
    await runner.query('DROP FUNCTION count_kept_files()');
  }
}
