import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How a version was computed from others. */
export class Derivations1763600000102 implements MigrationInterface {
  name = 'Derivations1763600000102';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE adapter_versions ADD COLUMN derivation jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE adapter_versions DROP COLUMN derivation');
  }
}
