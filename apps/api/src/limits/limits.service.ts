import { Injectable } from '@nestjs/common';
import type { Caller } from '#accounts/caller.js';
import { quotasResource, rateLimitsResource } from '#accounts/limits/rate-limits.js';
import { TenantsService } from '#accounts/tenants.service.js';
import { storageUse } from '#adapters/registry/tenant-quotas.js';
import type { LimitsResource } from '#contracts/limits-api.js';
import { DataSource } from 'typeorm';

/** A tenant's quotas beside what it uses. */
@Injectable()
export class LimitsService {
  constructor(
    private readonly tenants: TenantsService,
    private readonly database: DataSource,
  ) {}

  async ofCaller({ tenant, limits, operator }: Caller): Promise<LimitsResource> {
    return { ...(await this.ofTenant(tenant.id)), key_limits: operator ? null : rateLimitsResource(limits) };
  }

  async ofTenant(nameOrId: string): Promise<LimitsResource> {
    const { id, name, quotas, weight } = await this.tenants.find(nameOrId);
    return {
      object: 'limits',
      tenant: name,
      quotas: quotasResource(quotas),
      weight,
      key_limits: null,
      used: await storageUse(this.database, id),
    };
  }
}
