import { Inject, Injectable } from '@nestjs/common';
import type { BudgetResource, CreateBudget, PatchBudget } from '#contracts/money-api.js';
import type { List } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, type EntityManager } from 'typeorm';
import { CURRENCY } from '../settings.js';
import { TenantsService } from '../tenants.service.js';
import { UsageService } from '../usage.service.js';
import { budgetResource, type BudgetRow, SELECT_BUDGETS } from './budget-row.js';
import { alertOf, BUDGETS_CHANNEL } from './spending.js';

/** How much a tenant, or one of its keys, may spend in a day or a month. */
@Injectable()
export class BudgetsService {
  constructor(
    private readonly database: DataSource,
    private readonly tenants: TenantsService,
    private readonly usage: UsageService,
    @Inject(CURRENCY) private readonly currency: string,
  ) {}

  async list(tenantId: string): Promise<List<BudgetResource>> {
    await this.usage.flush();
    const sql = `${SELECT_BUDGETS} WHERE budget.tenant_id = $1 ORDER BY budget.id DESC`;
    const rows = await this.database.query<BudgetRow[]>(sql, [tenantId]);
    const data = rows.map((row) => budgetResource(row, this.currency));
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.id ?? null };
  }

  async listOf(tenant: string): Promise<List<BudgetResource>> {
    return this.list((await this.tenants.find(tenant)).id);
  }

  async create(tenant: string, budget: CreateBudget): Promise<BudgetResource> {
    const { id: tenantId } = await this.tenants.find(tenant);
    const id = newId();
    return this.#change(tenantId, 'budget.create', id, async (manager) => {
      if (budget.key_id !== undefined) await requireKey(manager, tenantId, budget.key_id);
      await manager.query(
        'INSERT INTO budgets (id, tenant_id, key_id, period, amount, alert_shares, stop) VALUES ($1, $2, $3, $4, $5, $6, $7)',
        [id, tenantId, budget.key_id ?? null, budget.period, budget.amount, budget.alert_shares, budget.stop],
      );
    });
  }

  async patch(tenant: string, id: string, patch: PatchBudget): Promise<BudgetResource> {
    const { id: tenantId } = await this.tenants.find(tenant);
    return this.#change(tenantId, 'budget.update', id, async (manager) => {
      await manager.query(
        `UPDATE budgets SET amount = coalesce($3, amount), alert_shares = coalesce($4, alert_shares),
           stop = coalesce($5, stop) WHERE tenant_id = $1 AND id = $2`,
        [tenantId, id, patch.amount ?? null, patch.alert_shares ?? null, patch.stop ?? null],
      );
    });
  }

  async remove(tenant: string, id: string): Promise<void> {
    const { id: tenantId } = await this.tenants.find(tenant);
    await this.database.transaction(async (manager) => {
      const before = await this.#find(manager, tenantId, id);
      await manager.query('DELETE FROM budgets WHERE tenant_id = $1 AND id = $2', [tenantId, id]);
      const subject = { type: 'budget', id };
      await AuditLog.record(manager, { tenantId, action: 'budget.delete', subject, before });
      await Notifications.publish(manager, BUDGETS_CHANNEL, id);
    });
  }

  /** What is spent already counts at once, also for alerts. */
  async #change(
    tenantId: string,
    action: 'budget.create' | 'budget.update',
    id: string,
    work: (manager: EntityManager) => Promise<void>,
  ): Promise<BudgetResource> {
    await this.usage.flush();
    return this.database.transaction(async (manager) => {
      const before = action === 'budget.create' ? undefined : await this.#find(manager, tenantId, id);
      await work(manager);
      const sql = `${SELECT_BUDGETS} WHERE budget.id = $1`;
      await alertOf(manager, await manager.query<BudgetRow[]>(sql, [id]), this.currency);
      const after = await this.#find(manager, tenantId, id);
      const subject = { type: 'budget', id };
      await AuditLog.record(manager, { tenantId, action, subject, ...(before ? { before } : {}), after });
      await Notifications.publish(manager, BUDGETS_CHANNEL, id);
      return after;
    });
  }

  async #find(manager: EntityManager, tenantId: string, id: string): Promise<BudgetResource> {
    const sql = `${SELECT_BUDGETS} WHERE budget.tenant_id = $1 AND budget.id = $2 FOR UPDATE OF budget`;
    const [row] = isId(id) ? await manager.query<BudgetRow[]>(sql, [tenantId, id]) : [];
    if (!row) throw new AppError('not_found', { message: 'The tenant has no such budget.' });
    return budgetResource(row, this.currency);
  }
}

async function requireKey(manager: EntityManager, tenantId: string, keyId: string): Promise<void> {
  const rows = await manager.query<unknown[]>('SELECT 1 FROM api_keys WHERE tenant_id = $1 AND id = $2', [
    tenantId,
    keyId,
  ]);
  if (rows.length === 0)
    throw new AppError('not_found', { message: 'The tenant has no such key.', param: 'key_id' });
}
