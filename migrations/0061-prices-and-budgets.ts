import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What tokens cost, what was spent, and who may spend how much. */
export class PricesAndBudgets1763600000061 implements MigrationInterface {
  name = 'PricesAndBudgets1763600000061';

  async up(runner: QueryRunner): Promise<void> {
    for (const table of ['usage_minutes', 'usage_days'])
      await runner.query(`ALTER TABLE ${table} ADD COLUMN cost numeric NOT NULL DEFAULT 0`);
    await runner.query(`
      CREATE TABLE prices (
        id uuid NOT NULL CONSTRAINT prices_pkey PRIMARY KEY,
        tenant_id uuid CONSTRAINT prices_tenant_id_fkey REFERENCES tenants (id) ON DELETE CASCADE,
        adapter text,
        prompt_per_million numeric NOT NULL,
        cached_per_million numeric NOT NULL,
        completion_per_million numeric NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT prices_adapter_check CHECK (adapter IS NULL OR tenant_id IS NOT NULL)
      )`);
    await runner.query(`
      CREATE UNIQUE INDEX prices_of_key ON prices (coalesce(tenant_id::text, ''), coalesce(adapter, ''))`);
    await runner.query(`
      CREATE TABLE spending (
        tenant_id uuid NOT NULL,
        key_id text NOT NULL,
        period text NOT NULL CONSTRAINT spending_period_check CHECK (period IN ('day', 'month')),
        starts date NOT NULL,
        cost numeric NOT NULL DEFAULT 0,
        CONSTRAINT spending_pkey PRIMARY KEY (tenant_id, key_id, period, starts)
      )`);
    await runner.query(`
      CREATE TABLE budgets (
        id uuid NOT NULL CONSTRAINT budgets_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL CONSTRAINT budgets_tenant_id_fkey REFERENCES tenants (id) ON DELETE CASCADE,
        key_id text,
        period text NOT NULL CONSTRAINT budgets_period_check CHECK (period IN ('day', 'month')),
        amount numeric NOT NULL CONSTRAINT budgets_amount_check CHECK (amount > 0),
        alert_shares double precision[] NOT NULL,
        stop boolean NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX budgets_tenant_id_idx ON budgets (tenant_id)');
    await runner.query(`
      CREATE TABLE budget_alerts (
        budget_id uuid NOT NULL CONSTRAINT budget_alerts_budget_id_fkey REFERENCES budgets (id) ON DELETE CASCADE,
        starts date NOT NULL,
        share double precision NOT NULL,
        spent numeric NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT budget_alerts_pkey PRIMARY KEY (budget_id, starts, share)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['budget_alerts', 'budgets', 'spending', 'prices'])
      await runner.query(`DROP TABLE ${table}`);
    for (const table of ['usage_days', 'usage_minutes'])
      await runner.query(`ALTER TABLE ${table} DROP COLUMN cost`);
  }
}
