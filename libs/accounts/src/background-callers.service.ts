import { Injectable } from '@nestjs/common';
import { isId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { ApiKey } from './api-key.entity.js';
import type { Caller } from './request-caller.js';
import { Tenant } from './tenant.entity.js';

/** Who asks for what is done later: the tenant and the key as they are by then. */
@Injectable()
export class BackgroundCallers {
  constructor(private readonly database: DataSource) {}

  /** Undefined: the tenant may not ask for anything now. A key that is gone limits nothing any more. */
  async of(tenantId: string, keyId: string): Promise<Caller | undefined> {
    const found = await this.database.getRepository(Tenant).findOneBy({ id: tenantId });
    if (found?.state !== 'active') return undefined;
    const { id, name, state, quotas, weight } = found;
    const key = isId(keyId)
      ? await this.database.getRepository(ApiKey).findOneBy({ id: keyId, tenantId })
      : null;
    const tenant = { id, name, state, quotas, weight };
    return { keyId, operator: false, scopes: ['inference'], tenant, limits: key?.limits ?? {} };
  }
}
