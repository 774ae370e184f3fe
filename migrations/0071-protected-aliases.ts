import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Aliases that one key alone does not move, and the changes of them that wait for a second. */
export class ProtectedAliases1763600000071 implements MigrationInterface {
  name = 'ProtectedAliases1763600000071';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE alias_protections (
        adapter_id uuid NOT NULL
          CONSTRAINT alias_protections_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        alias text NOT NULL,
        tenant_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT alias_protections_pkey PRIMARY KEY (adapter_id, alias)
      )`);
    await runner.query(`
      CREATE TABLE pending_alias_changes (
        id uuid NOT NULL CONSTRAINT pending_alias_changes_pkey PRIMARY KEY,
        adapter_id uuid NOT NULL
          CONSTRAINT pending_alias_changes_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        alias text NOT NULL,
        tenant_id uuid NOT NULL,
        action text NOT NULL
          CONSTRAINT pending_alias_changes_action_check CHECK (action IN ('set', 'rollback', 'delete', 'unprotect')),
        change jsonb,
        routes jsonb NOT NULL,
        revision integer,
        state text NOT NULL
          CONSTRAINT pending_alias_changes_state_check
          CHECK (state IN ('pending', 'approved', 'declined', 'superseded', 'outdated')),
        requested_by jsonb NOT NULL,
        decided_by jsonb,
        reason text,
        created_at timestamptz NOT NULL DEFAULT now(),
        decided_at timestamptz
      )`);
    await runner.query(
      'CREATE INDEX pending_alias_changes_tenant_id_idx ON pending_alias_changes (tenant_id, id)',
    );
    await runner.query(
      'CREATE INDEX pending_alias_changes_adapter_id_idx ON pending_alias_changes (adapter_id, alias, id)',
    );
    await runner.query('ALTER TABLE alias_changes ADD COLUMN approved_by text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE alias_changes DROP COLUMN approved_by');
    await runner.query('DROP TABLE pending_alias_changes');
    await runner.query('DROP TABLE alias_protections');
  }
}
