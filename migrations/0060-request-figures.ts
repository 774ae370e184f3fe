import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the charts show, by minute, hour and day; histograms and counts by name add up in the database. */
export class RequestFigures1763600000060 implements MigrationInterface {
  name = 'RequestFigures1763600000060';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE request_figures (
        tenant_id uuid NOT NULL,
        served text NOT NULL,
        step text NOT NULL CONSTRAINT request_figures_step_check CHECK (step IN ('minute', 'hour', 'day')),
        at timestamptz NOT NULL,
        requests bigint NOT NULL DEFAULT 0,
        errors bigint NOT NULL DEFAULT 0,
        error_codes jsonb NOT NULL DEFAULT '{}',
        prompt_tokens bigint NOT NULL DEFAULT 0,
        cached_tokens bigint NOT NULL DEFAULT 0,
        completion_tokens bigint NOT NULL DEFAULT 0,
        ttft_ms double precision NOT NULL DEFAULT 0,
        ttft bigint[] NOT NULL DEFAULT '{}',
        tpot_ms double precision NOT NULL DEFAULT 0,
        tpot bigint[] NOT NULL DEFAULT '{}',
        queue_ms double precision NOT NULL DEFAULT 0,
        queue bigint[] NOT NULL DEFAULT '{}',
        judged bigint NOT NULL DEFAULT 0,
        good bigint NOT NULL DEFAULT 0,
        good_tokens bigint NOT NULL DEFAULT 0,
        CONSTRAINT request_figures_pkey PRIMARY KEY (tenant_id, served, step, at)
      ) WITH (fillfactor = 70)`);
    await runner.query('CREATE INDEX request_figures_step_at_idx ON request_figures (step, at)');
    // The shorter one counts as filled up with zeros.
    await runner.query(`
      CREATE FUNCTION add_histograms(a bigint[], b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(array_agg(coalesce(x, 0) + coalesce(y, 0) ORDER BY place), '{}')
        FROM unnest(a, b) WITH ORDINALITY AS pair (x, y, place)
      $$`);
    await runner.query(`
      CREATE FUNCTION add_counts(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(jsonb_object_agg(name, count), '{}') FROM (
          SELECT key AS name, sum(value::bigint) AS count
          FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) both_of
          GROUP BY key
        ) summed
      $$`);
    await runner.query(`
      CREATE TABLE engine_figures (
        engine text NOT NULL,
        step text NOT NULL CONSTRAINT engine_figures_step_check CHECK (step IN ('minute', 'hour', 'day')),
        at timestamptz NOT NULL,
        samples bigint NOT NULL DEFAULT 0,
        ready bigint NOT NULL DEFAULT 0,
        running_requests double precision NOT NULL DEFAULT 0,
        most_running_requests integer NOT NULL DEFAULT 0,
        waiting_requests double precision NOT NULL DEFAULT 0,
        most_waiting_requests integer NOT NULL DEFAULT 0,
        queued_tokens double precision NOT NULL DEFAULT 0,
        kv_share double precision NOT NULL DEFAULT 0,
        adapter_share double precision NOT NULL DEFAULT 0,
        adapters double precision NOT NULL DEFAULT 0,
        CONSTRAINT engine_figures_pkey PRIMARY KEY (engine, step, at)
      ) WITH (fillfactor = 70)`);
    await runner.query('CREATE INDEX engine_figures_step_at_idx ON engine_figures (step, at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE engine_figures');
    await runner.query('DROP TABLE request_figures');
    await runner.query('DROP FUNCTION add_counts(jsonb, jsonb)');
    await runner.query('DROP FUNCTION add_histograms(bigint[], bigint[])');
  }
}
