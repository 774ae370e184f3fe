import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Trainers1763600000028 implements MigrationInterface {
  name = 'Trainers1763600000028';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE trainers (
        id uuid NOT NULL CONSTRAINT trainers_pkey PRIMARY KEY,
        tenant_id uuid,
        name text NOT NULL,
        url text NOT NULL,
        secret text NOT NULL,
        previous_secret text,
        previous_secret_expires_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(
      'CREATE UNIQUE INDEX trainers_tenant_id_name_key ON trainers (tenant_id, name) WHERE tenant_id IS NOT NULL',
    );
    await runner.query(
      'CREATE UNIQUE INDEX trainers_shared_name_key ON trainers (name) WHERE tenant_id IS NULL',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE trainers');
  }
}
