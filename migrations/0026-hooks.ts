import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Hooks1763600000026 implements MigrationInterface {
  name = 'Hooks1763600000026';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE hooks (
        id uuid NOT NULL CONSTRAINT hooks_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        adapter text,
        promote jsonb,
        secret text NOT NULL,
        previous_secret text,
        previous_secret_expires_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX hooks_tenant_id_id_idx ON hooks (tenant_id, id)');
    await runner.query(`
      CREATE TABLE hook_deliveries (
        id uuid NOT NULL CONSTRAINT hook_deliveries_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        source_id uuid NOT NULL,
        webhook_id text NOT NULL,
        body_sha256 text NOT NULL,
        type text NOT NULL,
        state text NOT NULL CONSTRAINT hook_deliveries_state_check CHECK (state IN (
          'accepted', 'importing', 'validating', 'promoting', 'succeeded', 'failed', 'recorded', 'ignored')),
        job_id text,
        fine_tuning_job_id uuid,
        adapter text,
        data jsonb NOT NULL,
        version_id uuid,
        version integer,
        promotion jsonb,
        reason text,
        faults integer NOT NULL DEFAULT 0,
        lease_id uuid,
        due_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CONSTRAINT hook_deliveries_source_id_webhook_id_key UNIQUE (source_id, webhook_id)
      )`);
    await runner.query('CREATE INDEX hook_deliveries_source_id_id_idx ON hook_deliveries (source_id, id)');
    await runner.query(
      'CREATE INDEX hook_deliveries_due_at_idx ON hook_deliveries (due_at) WHERE due_at IS NOT NULL',
    );
    await runner.query(
      'CREATE INDEX hook_deliveries_version_id_idx ON hook_deliveries (version_id) WHERE due_at IS NOT NULL',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE hook_deliveries');
    await runner.query('DROP TABLE hooks');
  }
}
