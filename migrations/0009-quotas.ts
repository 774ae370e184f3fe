import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Quotas1763600000009 implements MigrationInterface {
  name = 'Quotas1763600000009';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE tenants
        ADD COLUMN quotas jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN weight double precision NOT NULL DEFAULT 1`);
    await runner.query(`
      ALTER TABLE api_keys
        ADD COLUMN limits jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN rotated_at timestamptz,
        ADD COLUMN previous_sha256 text CONSTRAINT api_keys_previous_sha256_key UNIQUE,
        ADD COLUMN previous_valid_until timestamptz`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE api_keys
        DROP COLUMN previous_valid_until, DROP COLUMN previous_sha256, DROP COLUMN rotated_at, DROP COLUMN limits`);
    await runner.query('ALTER TABLE tenants DROP COLUMN weight, DROP COLUMN quotas');
  }
}
