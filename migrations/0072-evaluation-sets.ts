import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Prompts with the answers that are expected of them, kept by name; each revision stays. */
export class EvaluationSets1763600000072 implements MigrationInterface {
  name = 'EvaluationSets1763600000072';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE evaluation_sets (
        id uuid NOT NULL CONSTRAINT evaluation_sets_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        description text,
        revision integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT evaluation_sets_tenant_id_name_key UNIQUE (tenant_id, name)
      )`);
    await runner.query(`
      CREATE TABLE evaluation_set_revisions (
        set_id uuid NOT NULL
          CONSTRAINT evaluation_set_revisions_set_id_fkey REFERENCES evaluation_sets (id) ON DELETE CASCADE,
        revision integer NOT NULL,
        digest text NOT NULL,
        prompts jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT evaluation_set_revisions_pkey PRIMARY KEY (set_id, revision)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE evaluation_set_revisions');
    await runner.query('DROP TABLE evaluation_sets');
  }
}
