import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Moves of a tenant's adapters to another base: each version is checked and evaluated before it answers there. */
export class BaseMoves1763600000103 implements MigrationInterface {
  name = 'BaseMoves1763600000103';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE version_bases ADD COLUMN held text');
    await runner.query(`
      CREATE TABLE base_moves (
        id uuid NOT NULL CONSTRAINT base_moves_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        base_model text NOT NULL,
        base_digest text NOT NULL,
        adapter text,
        policy jsonb NOT NULL,
        created_by jsonb NOT NULL,
        cancelled boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
      )`);
    await runner.query('CREATE INDEX base_moves_tenant_id_id_idx ON base_moves (tenant_id, id)');
    await runner.query(`
      CREATE UNIQUE INDEX base_moves_running_idx ON base_moves (tenant_id, base_digest) WHERE finished_at IS NULL`);
    await runner.query(`
      CREATE TABLE base_move_versions (
        id uuid NOT NULL CONSTRAINT base_move_versions_pkey PRIMARY KEY,
        move_id uuid NOT NULL CONSTRAINT base_move_versions_move_id_fkey REFERENCES base_moves (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL,
        version_id uuid NOT NULL,
        adapter text NOT NULL,
        version integer NOT NULL,
        aliases text[] NOT NULL,
        state text NOT NULL DEFAULT 'checking',
        reason text,
        evaluation jsonb,
        faults integer NOT NULL DEFAULT 0,
        lease_id uuid,
        due_at timestamptz,
        decided_at timestamptz,
        CONSTRAINT base_move_versions_state_check
          CHECK (state IN ('checking', 'evaluating', 'promoted', 'left', 'unchanged'))
      )`);
    await runner.query(`
      CREATE INDEX base_move_versions_move_id_id_idx ON base_move_versions (move_id, id)`);
    await runner.query(`
      CREATE INDEX base_move_versions_due_at_idx ON base_move_versions (due_at) WHERE due_at IS NOT NULL`);
    await runner.query(`
      CREATE INDEX base_move_versions_version_id_idx ON base_move_versions (version_id) WHERE due_at IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE base_move_versions');
    await runner.query('DROP TABLE base_moves');
    await runner.query('ALTER TABLE version_bases DROP COLUMN held');
  }
}
