import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Answers of /v1/responses that are kept, each with what was asked; a conversation is a chain of them. */
export class Responses1763600000081 implements MigrationInterface {
  name = 'Responses1763600000081';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE responses (
        id uuid NOT NULL CONSTRAINT responses_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        previous_id uuid,
        input jsonb NOT NULL,
        body jsonb NOT NULL,
        used_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX responses_used_at_idx ON responses (used_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE responses');
  }
}
