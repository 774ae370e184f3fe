import type { MigrationInterface, QueryRunner } from 'typeorm';

export class OperatorKeys1763600000008 implements MigrationInterface {
  name = 'OperatorKeys1763600000008';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE operator_keys (
        id uuid NOT NULL CONSTRAINT operator_keys_pkey PRIMARY KEY,
        name text NOT NULL,
        sha256 text NOT NULL CONSTRAINT operator_keys_sha256_key UNIQUE,
        prefix text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE operator_keys');
  }
}
