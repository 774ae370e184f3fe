import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Tenants1763600000001 implements MigrationInterface {
  name = 'Tenants1763600000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE tenants (
        id uuid NOT NULL CONSTRAINT tenants_pkey PRIMARY KEY,
        name text NOT NULL CONSTRAINT tenants_name_key UNIQUE,
        state text NOT NULL DEFAULT 'active' CONSTRAINT tenants_state_check CHECK (state IN ('active', 'suspended')),
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE tenants');
  }
}
