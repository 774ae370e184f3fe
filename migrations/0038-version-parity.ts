import type { MigrationInterface, QueryRunner } from 'typeorm';

export class VersionParity1763600000038 implements MigrationInterface {
  name = 'VersionParity1763600000038';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE adapter_versions ADD COLUMN parity jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE adapter_versions DROP COLUMN parity');
  }
}
