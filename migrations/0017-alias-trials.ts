import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AliasTrials1763600000017 implements MigrationInterface {
  name = 'AliasTrials1763600000017';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE aliases ADD COLUMN shadow jsonb, ADD COLUMN guard jsonb');
    await runner.query(`
      ALTER TABLE alias_changes
        ADD COLUMN shadow jsonb, ADD COLUMN guard jsonb, ADD COLUMN reason text, ADD COLUMN breach jsonb,
        DROP CONSTRAINT alias_changes_action_check,
        ADD CONSTRAINT alias_changes_action_check CHECK (action IN ('set', 'rollback', 'automatic', 'guard'))`);
    await runner.query(`
      CREATE TABLE alias_figures (
        adapter_id uuid NOT NULL
          CONSTRAINT alias_figures_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        alias text NOT NULL,
        kind text NOT NULL CONSTRAINT alias_figures_kind_check CHECK (kind IN ('guard', 'shadow')),
        revision integer NOT NULL,
        version integer NOT NULL,
        part uuid NOT NULL,
        tenant_id uuid NOT NULL,
        figures jsonb NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT alias_figures_pkey PRIMARY KEY (adapter_id, alias, kind, revision, version, part)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE alias_figures');
    await runner.query("UPDATE alias_changes SET action = 'rollback' WHERE action = 'guard'");
    await runner.query(`
      ALTER TABLE alias_changes
        DROP COLUMN shadow, DROP COLUMN guard, DROP COLUMN reason, DROP COLUMN breach,
        DROP CONSTRAINT alias_changes_action_check,
        ADD CONSTRAINT alias_changes_action_check CHECK (action IN ('set', 'rollback', 'automatic'))`);
    await runner.query('ALTER TABLE aliases DROP COLUMN shadow, DROP COLUMN guard');
  }
}
