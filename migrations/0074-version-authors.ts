import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who uploaded or announced a version, and when each was last called. */
export class VersionAuthors1763600000074 implements MigrationInterface {
  name = 'VersionAuthors1763600000074';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE adapter_versions ADD COLUMN created_by jsonb');
    await runner.query(`
      CREATE TABLE served_versions (
        served text NOT NULL CONSTRAINT served_versions_pkey PRIMARY KEY,
        last_served_at timestamptz NOT NULL
      )`);
    await runner.query(`
      INSERT INTO served_versions (served, last_served_at)
      SELECT served, max(minute) FROM usage_minutes WHERE served <> 'base' GROUP BY served`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE served_versions');
    await runner.query('ALTER TABLE adapter_versions DROP COLUMN created_by');
  }
}
