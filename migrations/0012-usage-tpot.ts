import type { MigrationInterface, QueryRunner } from 'typeorm';

export class UsageTpot1763600000012 implements MigrationInterface {
  name = 'UsageTpot1763600000012';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE usage_minutes
        ADD COLUMN tpot_sequences bigint NOT NULL DEFAULT 0,
        ADD COLUMN tpot_ms double precision NOT NULL DEFAULT 0`);
    // Usage of all tenants is read by time; minutes lie on disk nearly in their order.
    await runner.query('CREATE INDEX usage_minutes_minute_idx ON usage_minutes USING brin (minute)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX usage_minutes_minute_idx');
    await runner.query('ALTER TABLE usage_minutes DROP COLUMN tpot_ms, DROP COLUMN tpot_sequences');
  }
}
