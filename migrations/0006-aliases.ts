import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Aliases1763600000006 implements MigrationInterface {
  name = 'Aliases1763600000006';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE aliases (
        adapter_id uuid NOT NULL
          CONSTRAINT aliases_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        name text NOT NULL,
        tenant_id uuid NOT NULL,
        routes jsonb NOT NULL,
        revision integer NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT aliases_pkey PRIMARY KEY (adapter_id, name)
      )`);
    await runner.query(`
      CREATE TABLE alias_changes (
        adapter_id uuid NOT NULL
          CONSTRAINT alias_changes_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        alias text NOT NULL,
        revision integer NOT NULL,
        tenant_id uuid NOT NULL,
        action text NOT NULL
          CONSTRAINT alias_changes_action_check CHECK (action IN ('set', 'rollback', 'automatic')),
        routes jsonb NOT NULL,
        parent integer,
        key_id text,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT alias_changes_pkey PRIMARY KEY (adapter_id, alias, revision)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE alias_changes');
    await runner.query('DROP TABLE aliases');
  }
}
