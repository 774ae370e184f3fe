import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Audit1763600000033 implements MigrationInterface {
  name = 'Audit1763600000033';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE audit_entries (
        id uuid NOT NULL CONSTRAINT audit_entries_pkey PRIMARY KEY,
        created_at timestamptz NOT NULL DEFAULT now(),
        actor_type text NOT NULL,
        actor_id text NOT NULL,
        tenant_id uuid,
        action text COLLATE "C" NOT NULL,
        subject_type text NOT NULL,
        subject_id text NOT NULL,
        before jsonb,
        after jsonb,
        request_id text,
        address text
      )`);
    await runner.query('CREATE INDEX audit_entries_tenant_id_idx ON audit_entries (tenant_id, id)');
    await runner.query('CREATE INDEX audit_entries_actor_id_idx ON audit_entries (actor_id, id)');
    await runner.query('CREATE INDEX audit_entries_subject_id_idx ON audit_entries (subject_id, id)');
    await runner.query('CREATE INDEX audit_entries_action_idx ON audit_entries (action, id)');
    await runner.query(`
      CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
      END $$`);
    // Per statement: what matches no row is refused as well.
    await runner.query(`
      CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE audit_entries');
    await runner.query('DROP FUNCTION refuse_change()');
  }
}
