import type { BudgetResource } from '#contracts/money-api.js';

/** A budget, what was spent of it in the period that runs, and who was told. */
export interface BudgetRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly tenant: string;
  readonly key_id: string | null;
  readonly period: 'day' | 'month';
  readonly amount: number;
  readonly alert_shares: number[];
  readonly stop: boolean;
  readonly created_at: Date;
  readonly spent: number;
  /** `YYYY-MM-DD` */
  readonly starts: string;
  readonly ends: string;
  readonly alerts: readonly { readonly share: number; readonly spent: number; readonly created_at: string }[];
}

export const SELECT_BUDGETS = `
  SELECT budget.id, budget.tenant_id, tenants.name AS tenant, budget.key_id, budget.period,
    budget.amount::float8 AS amount, budget.alert_shares, budget.stop, budget.created_at,
    coalesce(spending.cost, 0)::float8 AS spent,
    to_char(period.starts, 'YYYY-MM-DD') AS starts, to_char(period.ends, 'YYYY-MM-DD') AS ends,
    coalesce((SELECT jsonb_agg(jsonb_build_object('share', share, 'spent', spent, 'created_at', created_at) ORDER BY share)
      FROM budget_alerts WHERE budget_id = budget.id AND budget_alerts.starts = period.starts), '[]') AS alerts
  FROM budgets budget
  JOIN tenants ON tenants.id = budget.tenant_id
  CROSS JOIN LATERAL (
    SELECT date_trunc(budget.period, now() AT TIME ZONE 'UTC')::date AS starts,
      (date_trunc(budget.period, now() AT TIME ZONE 'UTC') + ('1 ' || budget.period)::interval)::date AS ends
  ) period
  LEFT JOIN spending ON spending.tenant_id = budget.tenant_id AND spending.key_id = coalesce(budget.key_id, '*')
    AND spending.period = budget.period AND spending.starts = period.starts`;

export function budgetResource(row: BudgetRow, currency: string): BudgetResource {
  const { id, tenant, key_id, period, amount, alert_shares, stop, spent } = row;
  return {
    id,
    object: 'budget',
    tenant,
    key_id,
    period,
    amount,
    alert_shares,
    stop,
    currency,
    spent,
    period_started_at: `${row.starts}T00:00:00.000Z`,
    period_ends_at: `${row.ends}T00:00:00.000Z`,
    alerts: row.alerts.map((alert) => ({ ...alert, created_at: new Date(alert.created_at).toISOString() })),
    created_at: row.created_at.toISOString(),
  };
}
