import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an upload asks of its validation, what came with it. */
export class VersionIntake1763600000046 implements MigrationInterface {
  name = 'VersionIntake1763600000046';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE adapter_versions
        ADD COLUMN require_base_match boolean NOT NULL DEFAULT false,
        ADD COLUMN left_out text[] NOT NULL DEFAULT '{}',
        ADD COLUMN warnings jsonb NOT NULL DEFAULT '[]'`);
    await runner.query('ALTER TABLE tenants ADD COLUMN require_base_match boolean NOT NULL DEFAULT false');
    await runner.query(`
      UPDATE adapter_versions SET warnings = report->'warnings' WHERE report->'warnings' IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE tenants DROP COLUMN require_base_match');
    await runner.query(`
      ALTER TABLE adapter_versions
        DROP COLUMN require_base_match, DROP COLUMN left_out, DROP COLUMN warnings`);
  }
}
