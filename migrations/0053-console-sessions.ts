import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ConsoleSessions1763600000053 implements MigrationInterface {
  name = 'ConsoleSessions1763600000053';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE console_sessions (
        id uuid NOT NULL CONSTRAINT console_sessions_pkey PRIMARY KEY,
        sha256 text NOT NULL CONSTRAINT console_sessions_sha256_key UNIQUE,
        key_sha256 text NOT NULL,
        operator boolean NOT NULL,
        viewed_tenant_id uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
      )`);
    await runner.query('CREATE INDEX console_sessions_expires_at_idx ON console_sessions (expires_at)');
    await runner.query(`
      CREATE TABLE sign_in_links (
        id uuid NOT NULL CONSTRAINT sign_in_links_pkey PRIMARY KEY,
        sha256 text NOT NULL CONSTRAINT sign_in_links_sha256_key UNIQUE,
        key_sha256 text NOT NULL,
        operator boolean NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE sign_in_links');
    await runner.query('DROP TABLE console_sessions');
  }
}
