import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Adapters1763600000003 implements MigrationInterface {
  name = 'Adapters1763600000003';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE adapters (
        id uuid NOT NULL CONSTRAINT adapters_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        description text,
        base_model text,
        labels jsonb NOT NULL DEFAULT '{}',
        next_version integer NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT adapters_tenant_id_name_key UNIQUE (tenant_id, name)
      )`);
    await runner.query('CREATE INDEX adapters_tenant_id_id_idx ON adapters (tenant_id, id)');
    await runner.query('CREATE INDEX adapters_labels_idx ON adapters USING gin (labels)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE adapters');
  }
}
