import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATES = "'uploaded', 'validating', 'ready', 'rejected'";

export class VersionImports1763600000021 implements MigrationInterface {
  name = 'VersionImports1763600000021';

  async up(runner: QueryRunner): Promise<void> {
    await allowStates(runner, `'importing', ${STATES}`);
    await runner.query(`
      CREATE TABLE version_imports (
        version_id uuid NOT NULL CONSTRAINT version_imports_pkey PRIMARY KEY
          CONSTRAINT version_imports_version_id_fkey REFERENCES adapter_versions (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL,
        plan jsonb,
        sha256 text,
        files jsonb NOT NULL DEFAULT '{}',
        done_bytes bigint NOT NULL DEFAULT 0,
        total_bytes bigint,
        attempts integer NOT NULL DEFAULT 0,
        fruitless integer NOT NULL DEFAULT 0,
        last_error text,
        next_attempt_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(
      'CREATE INDEX version_imports_due_idx ON version_imports (next_attempt_at) WHERE plan IS NOT NULL',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE version_imports');
    await runner.query("DELETE FROM adapter_versions WHERE state = 'importing'");
    await allowStates(runner, STATES);
  }
}

async function allowStates(runner: QueryRunner, states: string): Promise<void> {
  await runner.query(`
    ALTER TABLE adapter_versions
      DROP CONSTRAINT adapter_versions_state_check,
      ADD CONSTRAINT adapter_versions_state_check CHECK (state IN (${states}))`);
}
