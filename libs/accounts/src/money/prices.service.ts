import { Inject, Injectable } from '@nestjs/common';
import type { PriceResource, PutPrice } from '#contracts/money-api.js';
import type { List } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { CURRENCY } from '../settings.js';
import { TenantsService } from '../tenants.service.js';

type Row = Omit<PriceResource, 'object' | 'currency' | 'updated_at'> & { readonly updated_at: Date };

/** What tokens cost: by default, by tenant, by adapter of a tenant. A change counts for what is used from then on. */
@Injectable()
export class PricesService {
  constructor(
    private readonly database: DataSource,
    private readonly tenants: TenantsService,
    @Inject(CURRENCY) private readonly currency: string,
  ) {}

  list(): Promise<List<PriceResource>> {
    return this.#list('', []);
  }

  /** Those that may hold for a tenant. */
  ofTenant(tenantId: string): Promise<List<PriceResource>> {
    return this.#list('WHERE tenant_id = $1 OR tenant_id IS NULL', [tenantId]);
  }

  async put(price: PutPrice): Promise<PriceResource> {
    const tenant = price.tenant === undefined ? undefined : await this.tenants.find(price.tenant);
    const { adapter, prompt_per_million: prompt, completion_per_million: completion } = price;
    return this.database.transaction(async (manager) => {
      const values = [tenant?.id ?? null, adapter ?? null];
      const [before] = await manager.query<Row[]>(
        `${SELECT} WHERE tenant_id IS NOT DISTINCT FROM $1 AND adapter IS NOT DISTINCT FROM $2`,
        values,
      );
      await manager.query(PUT, [newId(), ...values, prompt, price.cached_per_million ?? prompt, completion]);
      const [row] = await manager.query<Row[]>(
        `${SELECT} WHERE tenant_id IS NOT DISTINCT FROM $1 AND adapter IS NOT DISTINCT FROM $2`,
        values,
      );
      if (!row) throw new AppError('internal_error');
      const after = this.#resource(row);
      await AuditLog.record(manager, {
        ...(tenant ? { tenantId: tenant.id } : {}),
        action: 'price.put',
        subject: { type: 'price', id: after.id },
        ...(before ? { before: this.#resource(before) } : {}),
        after,
      });
      return after;
    });
  }

  async remove(id: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      const [row] = isId(id) ? await manager.query<Row[]>(`${SELECT} WHERE prices.id = $1`, [id]) : [];
      if (!row) throw new AppError('not_found', { message: 'There is no such price.' });
      await manager.query('DELETE FROM prices WHERE id = $1', [id]);
      const subject = { type: 'price', id };
      await AuditLog.record(manager, { action: 'price.delete', subject, before: this.#resource(row) });
    });
  }

  async #list(where: string, values: readonly unknown[]): Promise<List<PriceResource>> {
    const rows = await this.database.query<Row[]>(`${SELECT} ${where} ${ORDER}`, [...values]);
    const data = rows.map((row) => this.#resource(row));
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.id ?? null };
  }

  #resource(row: Row): PriceResource {
    return { ...row, object: 'price', currency: this.currency, updated_at: row.updated_at.toISOString() };
  }
}

const SELECT = `
  SELECT prices.id, tenants.name AS tenant, adapter, prompt_per_million::float8 AS prompt_per_million,
    cached_per_million::float8 AS cached_per_million, completion_per_million::float8 AS completion_per_million,
    updated_at
  FROM prices LEFT JOIN tenants ON tenants.id = tenant_id`;
const ORDER = 'ORDER BY tenants.name NULLS FIRST, adapter NULLS FIRST';
const PUT = `
  INSERT INTO prices (id, tenant_id, adapter, prompt_per_million, cached_per_million, completion_per_million)
  VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (coalesce(tenant_id::text, ''), coalesce(adapter, '')) DO UPDATE SET
    prompt_per_million = excluded.prompt_per_million, cached_per_million = excluded.cached_per_million,
    completion_per_million = excluded.completion_per_million, updated_at = now()`;
