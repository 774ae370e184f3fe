import type { MigrationInterface, QueryRunner } from 'typeorm';

export class VersionLineage1763600000016 implements MigrationInterface {
  name = 'VersionLineage1763600000016';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE adapter_versions
        ADD COLUMN training_job text,
        ADD COLUMN metrics jsonb NOT NULL DEFAULT '{}'`);
    await runner.query('CREATE INDEX adapter_versions_tenant_id_id_idx ON adapter_versions (tenant_id, id)');
    await runner.query(`
      CREATE INDEX adapter_versions_training_job_idx ON adapter_versions (tenant_id, training_job, id)
      WHERE training_job IS NOT NULL`);
    await runner.query(`
      CREATE INDEX adapter_versions_digest_idx ON adapter_versions (tenant_id, digest, id)
      WHERE digest IS NOT NULL`);
    await runner.query(`
      CREATE TABLE version_parents (
        version_id uuid NOT NULL
          CONSTRAINT version_parents_version_id_fkey REFERENCES adapter_versions (id) ON DELETE CASCADE,
        position integer NOT NULL,
        tenant_id uuid NOT NULL,
        parent_id uuid,
        parent_digest text,
        parent_name text,
        CONSTRAINT version_parents_pkey PRIMARY KEY (version_id, position),
        CONSTRAINT version_parents_known_check CHECK (parent_id IS NOT NULL OR parent_digest IS NOT NULL)
      )`);
    await runner.query(
      'CREATE INDEX version_parents_parent_id_idx ON version_parents (tenant_id, parent_id)',
    );
    await runner.query(
      'CREATE INDEX version_parents_parent_digest_idx ON version_parents (tenant_id, parent_digest)',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE version_parents');
    await runner.query('DROP INDEX adapter_versions_digest_idx');
    await runner.query('DROP INDEX adapter_versions_training_job_idx');
    await runner.query('DROP INDEX adapter_versions_tenant_id_id_idx');
    await runner.query('ALTER TABLE adapter_versions DROP COLUMN metrics, DROP COLUMN training_job');
  }
}
