import { Injectable } from '@nestjs/common';
import { AccountTotalsService } from '#accounts/account-totals.service.js';
import { TenantsService } from '#accounts/tenants.service.js';
import { AdapterTotalsService } from '#adapters/registry/adapter-totals.service.js';
import type { TenantUse } from '#contracts/operator-lists-api.js';
import type { List, PageQuery } from '#contracts/resource.js';

/** Quotas of many tenants beside what they use, in three queries. */
@Injectable()
export class TenantUseService {
  constructor(
    private readonly tenants: TenantsService,
    private readonly accounts: AccountTotalsService,
    private readonly adapters: AdapterTotalsService,
  ) {}

  /** Newest tenants first. */
  async list(query: PageQuery): Promise<List<TenantUse>> {
    const page = await this.tenants.list(query);
    const ids = page.data.map(({ id }) => id);
    const [stored, rates] = await Promise.all([this.adapters.storedBy(ids), this.accounts.lastMinute(ids)]);
    const data = page.data.map(({ id, name, state, quotas, weight }) => ({
      id,
      object: 'tenant.use' as const,
      tenant: name,
      state,
      weight,
      quotas,
      used: {
        ...(stored.get(id) ?? { adapters: 0, stored_bytes: 0 }),
        ...(rates.get(id) ?? { requests_per_minute: 0, tokens_per_minute: 0 }),
      },
    }));
    return { ...page, data };
  }
}
