import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What became of a version on base models other than the one that it was first judged against. */
export class VersionBases1763600000054 implements MigrationInterface {
  name = 'VersionBases1763600000054';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE version_bases (
        version_id uuid NOT NULL
          CONSTRAINT version_bases_version_id_fkey REFERENCES adapter_versions (id) ON DELETE CASCADE,
        base_digest text NOT NULL,
        tenant_id uuid NOT NULL,
        base_model text NOT NULL,
        state text NOT NULL DEFAULT 'waiting',
        attempts integer NOT NULL DEFAULT 0,
        digest text,
        report jsonb,
        parity jsonb,
        failure text,
        requested_at timestamptz NOT NULL DEFAULT now(),
        judged_at timestamptz,
        CONSTRAINT version_bases_pkey PRIMARY KEY (version_id, base_digest),
        CONSTRAINT version_bases_state_check CHECK (state IN ('waiting', 'validating', 'ready', 'rejected')),
        CONSTRAINT version_bases_ready_check CHECK (state <> 'ready' OR digest IS NOT NULL)
      )`);
    await runner.query(`
      CREATE INDEX version_bases_unsettled_idx ON version_bases (base_digest, version_id)
        WHERE state IN ('waiting', 'validating')`);
    await runner.query(`
      CREATE INDEX version_bases_digest_idx ON version_bases (tenant_id, digest) WHERE digest IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE version_bases');
  }
}
