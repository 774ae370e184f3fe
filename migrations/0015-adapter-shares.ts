import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AdapterShares1763600000015 implements MigrationInterface {
  name = 'AdapterShares1763600000015';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE adapter_shares (
        adapter_id uuid NOT NULL
          CONSTRAINT adapter_shares_adapter_id_fkey REFERENCES adapters (id) ON DELETE CASCADE,
        grantee text NOT NULL,
        tenant_id uuid NOT NULL,
        key_id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT adapter_shares_pkey PRIMARY KEY (adapter_id, grantee)
      )`);
    await runner.query('CREATE INDEX adapter_shares_grantee_idx ON adapter_shares (grantee, adapter_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE adapter_shares');
  }
}
