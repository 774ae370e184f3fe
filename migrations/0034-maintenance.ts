import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Maintenance1763600000034 implements MigrationInterface {
  name = 'Maintenance1763600000034';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE maintenance (
        id integer NOT NULL CONSTRAINT maintenance_pkey PRIMARY KEY,
        enabled boolean NOT NULL,
        message text NOT NULL,
        retry_after_s integer NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT maintenance_single_check CHECK (id = 1)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE maintenance');
  }
}
