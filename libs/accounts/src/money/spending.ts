import { addEvent } from '#stores/outbox/outbox.service.js';
import { Notifications } from '#stores/postgres/notifications.js';
import type { EntityManager } from 'typeorm';
import type { UsageSum } from '../usage-buffer.js';
import { budgetResource, type BudgetRow, SELECT_BUDGETS } from './budget-row.js';

/** Told when a budget that stops is spent, raised, made or deleted. */
export const BUDGETS_CHANNEL = 'lorikeet_budgets';
/** The key of rows that hold what a whole tenant spent. */
const WHOLE_TENANT = '*';

/**
 * A query that gives usage its cost: of the tenant's price of the adapter, else the tenant's, else everybody's. The
 * price is the one that stands when the usage is written.
 */
export const PRICED = `
  SELECT used.*, coalesce(
    (used.prompt_tokens - used.cached_tokens) * price.prompt_per_million
      + used.cached_tokens * price.cached_per_million
      + used.completion_tokens * price.completion_per_million, 0) / 1000000 AS price
  FROM jsonb_populate_recordset(NULL::usage_minutes, $1::jsonb) used
  LEFT JOIN LATERAL (
    SELECT * FROM prices
    WHERE (prices.tenant_id = used.tenant_id OR prices.tenant_id IS NULL)
      AND (prices.adapter = used.adapter OR prices.adapter IS NULL)
    ORDER BY prices.tenant_id IS NULL, prices.adapter IS NULL LIMIT 1
  ) price ON true`;

/** Adds the cost of a batch to what its tenants and keys spent, in the order of the table's key. */
export const ADD_SPENDING = `
  INSERT INTO spending (tenant_id, key_id, period, starts, cost)
  SELECT tenant_id, holder, period, date_trunc(period, minute AT TIME ZONE 'UTC')::date AS starts, sum(price)
  FROM priced, unnest(ARRAY[key_id, '${WHOLE_TENANT}']) holder, unnest(ARRAY['day', 'month']) period
  WHERE price > 0
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (tenant_id, key_id, period, starts) DO UPDATE SET cost = spending.cost + excluded.cost`;

/** Alerts of the budgets of those tenants that were reached; part of the transaction that spent. */
export async function alertBudgets(
  manager: EntityManager,
  sums: readonly UsageSum[],
  currency: string,
): Promise<void> {
  const tenants = [...new Set(sums.map(({ tenant_id }) => tenant_id))];
  const budgets = await manager.query<BudgetRow[]>(`${SELECT_BUDGETS} WHERE budget.tenant_id = ANY ($1)`, [
    tenants,
  ]);
  await alertOf(manager, budgets, currency);
}

/** Writes what is due: each share of a budget is told once in a period, the highest alone where several are reached. */
export async function alertOf(
  manager: EntityManager,
  budgets: readonly BudgetRow[],
  currency: string,
): Promise<void> {
  for (const budget of budgets) {
    const reached = budget.alert_shares.filter((share) => budget.spent >= share * budget.amount);
    const rows = await manager.query<{ share: number }[]>(ADD_ALERTS, [
      budget.id,
      budget.starts,
      reached,
      budget.spent,
    ]);
    const told = Math.max(...rows.map(({ share }) => share));
    if (rows.length > 0) {
      const [now] = await manager.query<BudgetRow[]>(`${SELECT_BUDGETS} WHERE budget.id = $1`, [budget.id]);
      const payload = { ...budgetResource(now ?? budget, currency), share: told };
      await addEvent(manager, { tenantId: budget.tenant_id, type: 'budget.alert', payload });
    }
    if (budget.stop && budget.spent >= budget.amount)
      await Notifications.publish(manager, BUDGETS_CHANNEL, budget.id);
  }
}

const ADD_ALERTS = `
  INSERT INTO budget_alerts (budget_id, starts, share, spent)
  SELECT $1, $2, share, $4 FROM unnest($3::float8[]) share
  ON CONFLICT DO NOTHING RETURNING share`;
