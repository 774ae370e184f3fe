import type { MigrationInterface, QueryRunner } from 'typeorm';

export class VersionFiles1763600000005 implements MigrationInterface {
  name = 'VersionFiles1763600000005';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE version_files (
        version_id uuid NOT NULL
          CONSTRAINT version_files_version_id_fkey REFERENCES adapter_versions (id) ON DELETE CASCADE,
        name text NOT NULL,
        tenant_id uuid NOT NULL,
        sha256 text NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT version_files_pkey PRIMARY KEY (version_id, name)
      )`);
    await runner.query('CREATE INDEX version_files_sha256_idx ON version_files (sha256)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE version_files');
  }
}
