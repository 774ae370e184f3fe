import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ReleasedFiles1763600000018 implements MigrationInterface {
  name = 'ReleasedFiles1763600000018';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE released_files (
        id uuid NOT NULL CONSTRAINT released_files_pkey PRIMARY KEY,
        sha256 text NOT NULL,
        digest text,
        released_at timestamptz NOT NULL
      )`);
    await runner.query('CREATE INDEX released_files_sha256_idx ON released_files (sha256)');
    await runner.query('CREATE INDEX released_files_released_at_idx ON released_files (released_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE released_files');
  }
}
