import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Recent requests of tenants that asked for it; a tenant without settings has none. */
export class RequestLog1763600000062 implements MigrationInterface {
  name = 'RequestLog1763600000062';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE request_log_settings (
        tenant_id uuid NOT NULL CONSTRAINT request_log_settings_pkey PRIMARY KEY
          CONSTRAINT request_log_settings_tenant_id_fkey REFERENCES tenants (id) ON DELETE CASCADE,
        enabled boolean NOT NULL,
        text boolean NOT NULL,
        retention_hours integer NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE logged_requests (
        id uuid NOT NULL CONSTRAINT logged_requests_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL
          CONSTRAINT logged_requests_tenant_id_fkey REFERENCES tenants (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL,
        request_id text NOT NULL,
        key_id text NOT NULL,
        model text NOT NULL,
        adapter text,
        version integer,
        kind text NOT NULL,
        code text,
        finish_reason text,
        prompt_tokens integer NOT NULL,
        cached_tokens integer NOT NULL,
        completion_tokens integer NOT NULL,
        queue_ms double precision,
        ttft_ms double precision,
        tpot_ms double precision,
        total_ms double precision NOT NULL,
        input jsonb,
        outputs jsonb,
        text_cut boolean NOT NULL
      )`);
    await runner.query('CREATE INDEX logged_requests_tenant_id_id_idx ON logged_requests (tenant_id, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE logged_requests');
    await runner.query('DROP TABLE request_log_settings');
  }
}
