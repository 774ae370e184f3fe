import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Versions merged into their base's weights: orders, and the archives among the files that a tenant holds. */
export class Merges1763600000104 implements MigrationInterface {
  name = 'Merges1763600000104';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE files DROP CONSTRAINT files_purpose_check');
    await runner.query(`
      ALTER TABLE files ADD CONSTRAINT files_purpose_check
        CHECK (purpose IN ('batch', 'batch_output', 'merged_model'))`);
    await runner.query(`
      CREATE TABLE merges (
        id uuid NOT NULL CONSTRAINT merges_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        version_id uuid NOT NULL,
        adapter text NOT NULL,
        version integer NOT NULL,
        digest text NOT NULL,
        base_model text NOT NULL,
        base_digest text NOT NULL,
        dequantize boolean NOT NULL,
        any_base boolean NOT NULL,
        state text NOT NULL DEFAULT 'queued',
        done_bytes bigint NOT NULL DEFAULT 0,
        total_bytes bigint,
        reserved_bytes bigint NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        failure text,
        changed integer,
        file_id uuid,
        sha256 text,
        bytes bigint,
        expires_at timestamptz,
        lease_id uuid,
        due_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CONSTRAINT merges_state_check CHECK (state IN ('queued', 'running', 'ready', 'failed'))
      )`);
    await runner.query('CREATE INDEX merges_tenant_id_id_idx ON merges (tenant_id, id)');
    await runner.query('CREATE INDEX merges_due_at_idx ON merges (due_at) WHERE due_at IS NOT NULL');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE merges');
    await runner.query("DELETE FROM files WHERE purpose = 'merged_model'");
    await runner.query('ALTER TABLE files DROP CONSTRAINT files_purpose_check');
    await runner.query(`
      ALTER TABLE files ADD CONSTRAINT files_purpose_check CHECK (purpose IN ('batch', 'batch_output'))`);
  }
}
