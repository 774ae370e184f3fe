import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Usage1763600000007 implements MigrationInterface {
  name = 'Usage1763600000007';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE usage_minutes (
        tenant_id uuid NOT NULL,
        minute timestamptz NOT NULL,
        key_id text NOT NULL,
        served text NOT NULL,
        adapter_id uuid,
        adapter text,
        version integer,
        requests bigint NOT NULL DEFAULT 0,
        prompt_tokens bigint NOT NULL DEFAULT 0,
        cached_tokens bigint NOT NULL DEFAULT 0,
        completion_tokens bigint NOT NULL DEFAULT 0,
        errors bigint NOT NULL DEFAULT 0,
        first_tokens bigint NOT NULL DEFAULT 0,
        ttft_ms double precision NOT NULL DEFAULT 0,
        total_ms double precision NOT NULL DEFAULT 0,
        CONSTRAINT usage_minutes_pkey PRIMARY KEY (tenant_id, minute, key_id, served)
      )`);
    await runner.query(`
      CREATE TABLE usage_flushes (
        id uuid NOT NULL CONSTRAINT usage_flushes_pkey PRIMARY KEY,
        flushed_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX usage_flushes_flushed_at_idx ON usage_flushes (flushed_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE usage_flushes');
    await runner.query('DROP TABLE usage_minutes');
  }
}
