import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Old rows may be deleted: minutes of days that are summed up, and audit entries by who says so in its transaction. */
export class Retention1763600000050 implements MigrationInterface {
  name = 'Retention1763600000050';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE usage_rollups ADD COLUMN pruned_at timestamptz');
    await runner.query(`
      CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'DELETE' AND current_setting('lorikeet.retention', true) = 'on' THEN RETURN NULL; END IF;
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
      END $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE usage_rollups DROP COLUMN pruned_at');
    await runner.query(`
      CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
      END $$`);
  }
}
