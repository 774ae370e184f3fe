import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The API processes that run: without Redis each enforces its share of a limit; one that died is noticed. */
export class ApiProcesses1763600000011 implements MigrationInterface {
  name = 'ApiProcesses1763600000011';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE api_processes (
        id uuid NOT NULL CONSTRAINT api_processes_pkey PRIMARY KEY,
        seen_at timestamptz NOT NULL,
        usage_written_at timestamptz NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_processes');
  }
}
