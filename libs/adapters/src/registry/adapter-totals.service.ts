import { Injectable } from '@nestjs/common';
import { VERSION_STATES, type VersionState } from '#contracts/adapters-api.js';
import { DataSource } from 'typeorm';

export interface AdapterTotals {
  readonly adapters: number;
  readonly versions: Readonly<Record<VersionState, number>>;
}

export interface StoredUse {
  readonly adapters: number;
  readonly stored_bytes: number;
}

/** How much there is in all, over all tenants; for operators. */
@Injectable()
export class AdapterTotalsService {
  constructor(private readonly database: DataSource) {}

  async read(): Promise<AdapterTotals> {
    const [adapters, versions] = (await Promise.all([
      this.database.query('SELECT count(*)::float8 AS count FROM adapters'),
      this.database.query('SELECT state, count(*)::float8 AS count FROM adapter_versions GROUP BY state'),
    ])) as [{ count: number }[], { state: VersionState; count: number }[]];
    const counts = new Map(versions.map(({ state, count }) => [state, count]));
    const byState = VERSION_STATES.map((state) => [state, counts.get(state) ?? 0] as const);
    return {
      adapters: adapters[0]?.count ?? 0,
      versions: Object.fromEntries(byState) as Record<VersionState, number>,
    };
  }

  /** How many adapters and distinct bytes each of these tenants has. */
  async storedBy(tenantIds: readonly string[]): Promise<ReadonlyMap<string, StoredUse>> {
    const rows = (await this.database.query(
      `SELECT wanted.id, coalesce(storage.stored_bytes, 0)::float8 AS stored_bytes,
         (SELECT count(*)::float8 FROM adapters WHERE tenant_id = wanted.id) AS adapters
       FROM unnest($1::uuid[]) AS wanted (id) LEFT JOIN tenant_storage storage ON storage.tenant_id = wanted.id`,
      [tenantIds],
    )) as (StoredUse & { id: string })[];
    return new Map(rows.map(({ id, ...use }) => [id, use]));
  }
}
