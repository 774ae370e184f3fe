import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Sums of whole days, and for each day with usage whether they are complete (rolled_at): a late minute takes it back. */
export class UsageDays1763600000013 implements MigrationInterface {
  name = 'UsageDays1763600000013';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE usage_days (
        tenant_id uuid NOT NULL,
        day date NOT NULL,
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
        tpot_sequences bigint NOT NULL DEFAULT 0,
        tpot_ms double precision NOT NULL DEFAULT 0,
        CONSTRAINT usage_days_pkey PRIMARY KEY (tenant_id, day, key_id, served)
      )`);
    await runner.query('CREATE INDEX usage_days_day_idx ON usage_days USING brin (day)');
    await runner.query(`
      CREATE TABLE usage_rollups (
        day date NOT NULL CONSTRAINT usage_rollups_pkey PRIMARY KEY,
        rolled_at timestamptz
      )`);
    await runner.query(`
      INSERT INTO usage_rollups (day) SELECT DISTINCT (minute AT TIME ZONE 'UTC')::date FROM usage_minutes`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE usage_rollups');
    await runner.query('DROP TABLE usage_days');
  }
}
