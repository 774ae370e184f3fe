import type { MigrationInterface, QueryRunner } from 'typeorm';

/** People who sign in by OpenID Connect: their sessions stand for themselves instead of a key. */
export class ConsolePeople1763600000070 implements MigrationInterface {
  name = 'ConsolePeople1763600000070';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE console_people (
        id uuid NOT NULL CONSTRAINT console_people_pkey PRIMARY KEY,
        issuer text NOT NULL,
        subject text NOT NULL,
        name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        last_sign_in_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT console_people_subject_key UNIQUE (issuer, subject)
      )`);
    await runner.query(`
      CREATE TABLE used_sign_ins (
        state_sha256 text NOT NULL CONSTRAINT used_sign_ins_pkey PRIMARY KEY,
        expires_at timestamptz NOT NULL
      )`);
    await runner.query(`
      ALTER TABLE console_sessions
        ALTER COLUMN key_sha256 DROP NOT NULL,
        ADD COLUMN person_id uuid
          CONSTRAINT console_sessions_person_id_fkey REFERENCES console_people ON DELETE CASCADE,
        ADD COLUMN tenant_id uuid
          CONSTRAINT console_sessions_tenant_id_fkey REFERENCES tenants ON DELETE CASCADE,
        ADD COLUMN scopes text[] NOT NULL DEFAULT '{}'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DELETE FROM console_sessions WHERE key_sha256 IS NULL');
    await runner.query(`
      ALTER TABLE console_sessions
        ALTER COLUMN key_sha256 SET NOT NULL, DROP COLUMN person_id, DROP COLUMN tenant_id, DROP COLUMN scopes`);
    await runner.query('DROP TABLE used_sign_ins');
    await runner.query('DROP TABLE console_people');
  }
}
