import type { MigrationInterface, QueryRunner } from 'typeorm';

export class WebhookEndpoints1763600000027 implements MigrationInterface {
  name = 'WebhookEndpoints1763600000027';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhook_endpoints (
        id uuid NOT NULL CONSTRAINT webhook_endpoints_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        url text NOT NULL,
        events text[] NOT NULL,
        description text,
        enabled boolean NOT NULL DEFAULT true,
        disabled_reason text,
        failing_since timestamptz,
        secret text NOT NULL,
        previous_secret text,
        previous_secret_expires_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(
      'CREATE INDEX webhook_endpoints_tenant_id_id_idx ON webhook_endpoints (tenant_id, id)',
    );
    await this.#deliveries(runner);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE webhook_attempts');
    await runner.query('DROP TABLE webhook_deliveries');
    await runner.query('DROP TABLE webhook_endpoints');
  }

  async #deliveries(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhook_deliveries (
        id uuid NOT NULL CONSTRAINT webhook_deliveries_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        target_kind text NOT NULL
          CONSTRAINT webhook_deliveries_target_kind_check CHECK (target_kind IN ('endpoint', 'trainer')),
        target_id uuid NOT NULL,
        event_id uuid NOT NULL,
        type text NOT NULL,
        fine_tuning_job_id uuid,
        body text NOT NULL,
        state text NOT NULL
          CONSTRAINT webhook_deliveries_state_check CHECK (state IN ('pending', 'succeeded', 'failed')),
        tries integer NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        last_status integer,
        last_error text,
        lease_id uuid,
        due_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CONSTRAINT webhook_deliveries_target_id_event_id_key UNIQUE (target_id, event_id)
      )`);
    await runner.query(
      'CREATE INDEX webhook_deliveries_target_id_id_idx ON webhook_deliveries (target_id, id)',
    );
    await runner.query(
      'CREATE INDEX webhook_deliveries_due_at_idx ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL',
    );
    await runner.query(`
      CREATE TABLE webhook_attempts (
        delivery_id uuid NOT NULL
          CONSTRAINT webhook_attempts_delivery_id_fkey REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
        number integer NOT NULL,
        tenant_id uuid NOT NULL,
        at timestamptz NOT NULL,
        duration_ms integer NOT NULL,
        status integer,
        error text,
        response_excerpt text,
        CONSTRAINT webhook_attempts_pkey PRIMARY KEY (delivery_id, number)
      )`);
  }
}
