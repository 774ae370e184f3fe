import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How large each kept answer is, so that a tenant keeps no more than it may. */
export class ResponseStorage1763600000095 implements MigrationInterface {
  name = 'ResponseStorage1763600000095';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE responses ADD COLUMN bytes integer');
    await runner.query('UPDATE responses SET bytes = octet_length(input::text) + octet_length(body::text)');
    await runner.query('ALTER TABLE responses ALTER COLUMN bytes SET NOT NULL');
    await runner.query('CREATE INDEX responses_tenant_id_used_at_idx ON responses (tenant_id, used_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE responses DROP COLUMN bytes');
    await runner.query('DROP INDEX responses_tenant_id_used_at_idx');
  }
}
