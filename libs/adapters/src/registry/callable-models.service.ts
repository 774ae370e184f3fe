import { Injectable } from '@nestjs/common';
import { EVERYONE } from '#contracts/shares-api.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { DataSource } from 'typeorm';
import { LATEST, PRODUCTION } from '../aliases/alias-routes.js';
import type { TenantName } from './tenant-names.js';

/** An adapter that answers when a tenant calls it by its name alone. */
export interface CallableModel {
  /** What the caller writes in `model`: `adapter`, or `owner/adapter`. */
  readonly name: string;
  readonly owner: string;
  readonly createdAt: Date;
}

export interface CallablePage {
  /** Of the base that is served: versions that were accepted only for another one do not answer. */
  readonly baseDigest: string;
  /** Absent: all. */
  readonly limit?: number | undefined;
  /** The name after which the page begins. */
  readonly after?: string | undefined;
}

/** Lists what a tenant may call: its own adapters by name, then those shared with it by owner and name. */
@Injectable()
export class CallableModels {
  constructor(private readonly database: DataSource) {}

  async list(tenant: TenantName, page: CallablePage): Promise<CallableModel[]> {
    const { limit, after } = page;
    try {
      const inShared = after?.includes('/') ?? false;
      const own = inShared ? [] : await this.#own(tenant, page);
      if (own.length === limit) return own;
      const left = limit === undefined ? undefined : limit - own.length;
      const shared = { ...page, after: inShared ? after : undefined, limit: left };
      return [...own, ...(await this.#shared(tenant, shared))];
    } catch (error) {
      throw asDependencyError(error);
    }
  }

  async #own(tenant: TenantName, { after, limit, baseDigest }: CallablePage) {
    const sql = `
      SELECT name, "createdAt" FROM (
        SELECT adapter.id, adapter.name, adapter.created_at AS "createdAt", latest.routes
        FROM adapters adapter
        JOIN aliases latest ON latest.adapter_id = adapter.id AND latest.name = $2
        WHERE adapter.tenant_id = $1 AND ($3::text IS NULL OR adapter.name > $3)
        ORDER BY adapter.name OFFSET 0) AS adapter
      WHERE ${answers('$5', '$6')}
      LIMIT $4`;
    const rows = await this.database.query<{ name: string; createdAt: Date }[]>(sql, [
      tenant.id,
      LATEST,
      after ?? null,
      limit ?? null,
      PRODUCTION,
      baseDigest,
    ]);
    return rows.map((row) => ({ ...row, owner: tenant.name }));
  }

  async #shared(tenant: TenantName, { after, limit, baseDigest }: CallablePage): Promise<CallableModel[]> {
    const [afterOwner = null, afterName = null] = after?.split('/') ?? [];
    return this.database.query<CallableModel[]>(SHARED, [
      tenant.id,
      LATEST,
      EVERYONE,
      afterOwner,
      afterName,
      limit ?? null,
      PRODUCTION,
      baseDigest,
    ]);
  }
}

/**
 * Whether every version that the adapter's name alone leads to was accepted for the base that is served; `production` and
 * `baseDigest` are parameters. As a value rather than NOT EXISTS, so that a page is still read in the order of names and
 * no further than it needs. The statement has the table `adapter` with the `routes` of its alias `latest`.
 */
const answers = (production: string, baseDigest: string): string => `coalesce((
    SELECT bool_and(served.id IS NOT NULL) FROM jsonb_to_recordset(coalesce(
      (SELECT alias.routes FROM aliases alias WHERE alias.adapter_id = adapter.id AND alias.name = ${production}),
      adapter.routes)) AS route (version integer)
    LEFT JOIN adapter_versions served ON served.adapter_id = adapter.id AND served.number = route.version
      AND served.state = 'ready' AND (served.base_digest = ${baseDigest} OR EXISTS (
        SELECT FROM version_bases later WHERE later.version_id = served.id AND later.base_digest = ${baseDigest}
          AND later.state = 'ready' AND later.held IS NULL))), false)`;

/** An adapter may be shared with a tenant by name and with everyone at once; it is listed once. */
const SHARED = `
  SELECT DISTINCT owner || '/' || adapter.name AS name, owner, "createdAt", adapter.name AS "adapterName"
  FROM (
    SELECT adapter.id, adapter.name, owner.name AS owner, adapter.created_at AS "createdAt", latest.routes
    FROM adapter_shares share
    JOIN adapters adapter ON adapter.id = share.adapter_id
    JOIN tenants owner ON owner.id = adapter.tenant_id AND owner.state = 'active'
    JOIN aliases latest ON latest.adapter_id = adapter.id AND latest.name = $2
    WHERE share.grantee IN ($1::text, $3) AND adapter.tenant_id <> $1::uuid
      AND ($4::text IS NULL OR (owner.name, adapter.name) > ($4, $5)) OFFSET 0) AS adapter
  WHERE ${answers('$7', '$8')}
  ORDER BY owner, "adapterName" LIMIT $6`;
