import type { MigrationInterface, QueryRunner } from 'typeorm';

export class FineTuning1763600000029 implements MigrationInterface {
  name = 'FineTuning1763600000029';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE fine_tuning_jobs (
        id uuid NOT NULL CONSTRAINT fine_tuning_jobs_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        trainer_id uuid NOT NULL,
        trainer text NOT NULL,
        adapter text NOT NULL,
        status text NOT NULL CONSTRAINT fine_tuning_jobs_status_check CHECK (status IN (
          'queued', 'running', 'succeeded', 'failed', 'cancelled')),
        model text NOT NULL,
        request jsonb NOT NULL,
        seed integer NOT NULL,
        progress double precision,
        metrics jsonb,
        trained_tokens bigint,
        estimated_finish timestamptz,
        version integer,
        error jsonb,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
      )`);
    await runner.query('CREATE INDEX fine_tuning_jobs_tenant_id_id_idx ON fine_tuning_jobs (tenant_id, id)');
    await runner.query('CREATE INDEX fine_tuning_jobs_trainer_id_idx ON fine_tuning_jobs (trainer_id)');
    await runner.query(`
      CREATE TABLE fine_tuning_events (
        id uuid NOT NULL CONSTRAINT fine_tuning_events_pkey PRIMARY KEY,
        job_id uuid NOT NULL
          CONSTRAINT fine_tuning_events_job_id_fkey REFERENCES fine_tuning_jobs (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL,
        level text NOT NULL,
        message text NOT NULL,
        type text NOT NULL,
        data jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX fine_tuning_events_job_id_id_idx ON fine_tuning_events (job_id, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE fine_tuning_events');
    await runner.query('DROP TABLE fine_tuning_jobs');
  }
}
