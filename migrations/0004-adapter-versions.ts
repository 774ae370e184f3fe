import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AdapterVersions1763600000004 implements MigrationInterface {
  name = 'AdapterVersions1763600000004';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE adapter_versions (
        id uuid NOT NULL CONSTRAINT adapter_versions_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        adapter_id uuid NOT NULL
          CONSTRAINT adapter_versions_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        number integer NOT NULL,
        state text NOT NULL DEFAULT 'uploaded',
        digest text,
        report jsonb,
        failure text,
        attempts integer NOT NULL DEFAULT 0,
        rank integer,
        modules text[] NOT NULL DEFAULT '{}',
        base_model text,
        base_digest text,
        source text NOT NULL,
        description text,
        labels jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        ready_at timestamptz,
        CONSTRAINT adapter_versions_adapter_id_number_key UNIQUE (adapter_id, number),
        CONSTRAINT adapter_versions_state_check CHECK (state IN ('uploaded', 'validating', 'ready', 'rejected')),
        CONSTRAINT adapter_versions_ready_check CHECK (state <> 'ready' OR digest IS NOT NULL)
      )`);
    await runner.query('CREATE INDEX adapter_versions_state_idx ON adapter_versions (state, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE adapter_versions');
  }
}
