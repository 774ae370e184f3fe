import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Engines that registered themselves; those of ENGINE_URLS have no row. */
export class Engines1763600000043 implements MigrationInterface {
  name = 'Engines1763600000043';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE engines (
        name text NOT NULL CONSTRAINT engines_pkey PRIMARY KEY,
        url text NOT NULL CONSTRAINT engines_url_key UNIQUE,
        instance text NOT NULL,
        registered_at timestamptz NOT NULL DEFAULT now(),
        seen_at timestamptz NOT NULL DEFAULT now()
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE engines');
  }
}
