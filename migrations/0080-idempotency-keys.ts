import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which requests with an Idempotency-Key were made, what they did, and what they were answered. */
export class IdempotencyKeys1763600000080 implements MigrationInterface {
  name = 'IdempotencyKeys1763600000080';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE idempotency_keys (
        id uuid NOT NULL CONSTRAINT idempotency_keys_pkey PRIMARY KEY,
        owner text NOT NULL,
        key text NOT NULL,
        fingerprint text,
        holder uuid NOT NULL,
        held_until timestamptz NOT NULL,
        effects uuid[] NOT NULL DEFAULT '{}',
        status integer,
        answer text,
        expires_at timestamptz NOT NULL,
        CONSTRAINT idempotency_keys_owner_key_key UNIQUE (owner, key)
      )`);
    await runner.query('CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE idempotency_keys');
  }
}
