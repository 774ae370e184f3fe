import { Injectable } from '@nestjs/common';
import { EVERYONE } from '#contracts/shares-api.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { DataSource } from 'typeorm';
import { LATEST } from '../aliases/alias-routes.js';
import type { TenantName } from './tenant-names.js';

/** An adapter with a ready version that a tenant may call. */
export interface CallableModel {
  /** What the caller writes in `model`: `adapter`, or `owner/adapter`. */
  readonly name: string;
  readonly owner: string;
  readonly createdAt: Date;
}

export interface CallablePage {
  /** Absent: all. */
  readonly limit?: number | undefined;
  /** The name after which the page begins. */
  readonly after?: string | undefined;
}

/** Lists what a tenant may call: its own adapters by name, then those shared with it by owner and name. */
@Injectable()
export class CallableModels {
  constructor(private readonly database: DataSource) {}

  async list(tenant: TenantName, { limit, after }: CallablePage = {}): Promise<CallableModel[]> {
    try {
      const inShared = after?.includes('/') ?? false;
      const own = inShared ? [] : await this.#own(tenant, after, limit);
      if (own.length === limit) return own;
      const left = limit === undefined ? undefined : limit - own.length;
      return [...own, ...(await this.#shared(tenant, inShared ? after : undefined, left))];
    } catch (error) {
      throw asDependencyError(error);
    }
  }

  async #own(tenant: TenantName, after: string | undefined, limit: number | undefined) {
    const sql = `
      SELECT adapter.name, adapter.created_at AS "createdAt"
      FROM adapters adapter
      JOIN aliases latest ON latest.adapter_id = adapter.id AND latest.name = $2
      WHERE adapter.tenant_id = $1 AND ($3::text IS NULL OR adapter.name > $3)
      ORDER BY adapter.name LIMIT $4`;
    const rows = await this.database.query<{ name: string; createdAt: Date }[]>(sql, [
      tenant.id,
      LATEST,
      after ?? null,
      limit ?? null,
    ]);
    return rows.map((row) => ({ ...row, owner: tenant.name }));
  }

  async #shared(
    tenant: TenantName,
    after: string | undefined,
    limit: number | undefined,
  ): Promise<CallableModel[]> {
    const [afterOwner = null, afterName = null] = after?.split('/') ?? [];
    return this.database.query<CallableModel[]>(SHARED, [
      tenant.id,
      LATEST,
      EVERYONE,
      afterOwner,
      afterName,
      limit ?? null,
    ]);
  }
}

/** An adapter may be shared with a tenant by name and with everyone at once; it is listed once. */
const SHARED = `
  SELECT DISTINCT owner.name || '/' || adapter.name AS name, owner.name AS owner, adapter.created_at AS "createdAt",
    adapter.name AS "adapterName"
  FROM adapter_shares share
  JOIN adapters adapter ON adapter.id = share.adapter_id
  JOIN tenants owner ON owner.id = adapter.tenant_id AND owner.state = 'active'
  JOIN aliases latest ON latest.adapter_id = adapter.id AND latest.name = $2
  WHERE share.grantee IN ($1::text, $3) AND adapter.tenant_id <> $1::uuid
    AND ($4::text IS NULL OR (owner.name, adapter.name) > ($4, $5))
  ORDER BY owner.name, adapter.name LIMIT $6`;
