import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Batches of requests, which workers take by lease, and the results of their lines until they are written to files. */
export class Batches1763600000083 implements MigrationInterface {
  name = 'Batches1763600000083';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE batches (
        id uuid NOT NULL CONSTRAINT batches_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        key_id text NOT NULL,
        endpoint text NOT NULL,
        input_file_id uuid NOT NULL,
        status text NOT NULL DEFAULT 'validating' CONSTRAINT batches_status_check CHECK (status IN
          ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
        errors jsonb,
        metadata jsonb,
        model text,
        output_file_id uuid,
        error_file_id uuid,
        output_expires_after_s integer,
        total integer NOT NULL DEFAULT 0,
        completed integer NOT NULL DEFAULT 0,
        failed integer NOT NULL DEFAULT 0,
        input_tokens bigint NOT NULL DEFAULT 0,
        cached_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        reasoning_tokens bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        in_progress_at timestamptz,
        finalizing_at timestamptz,
        completed_at timestamptz,
        failed_at timestamptz,
        expired_at timestamptz,
        cancelling_at timestamptz,
        cancelled_at timestamptz,
        due_at timestamptz,
        lease_id uuid
      )`);
    await runner.query('CREATE INDEX batches_tenant_id_idx ON batches (tenant_id, id)');
    await runner.query('CREATE INDEX batches_due_at_idx ON batches (due_at)');
    await runner.query('CREATE INDEX batches_input_file_id_idx ON batches (input_file_id)');
    await runner.query(`
      CREATE TABLE batch_results (
        batch_id uuid NOT NULL CONSTRAINT batch_results_batch_id_fkey REFERENCES batches (id) ON DELETE CASCADE,
        line integer NOT NULL,
        is_error boolean NOT NULL,
        body text NOT NULL,
        CONSTRAINT batch_results_pkey PRIMARY KEY (batch_id, line)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE batch_results');
    await runner.query('DROP TABLE batches');
  }
}
