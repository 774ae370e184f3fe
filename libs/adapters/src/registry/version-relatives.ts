import type { EntityManager } from 'typeorm';

/** A version in a lineage; one without an id is known by its digest alone. */
export interface Relative {
  /** Its id, or else its digest. */
  readonly key: string;
  readonly id: string | null;
  readonly digest: string | null;
  /** `adapter@3` */
  readonly name: string | null;
}

export interface Link {
  /** Key of the version whose relative it is. */
  readonly from: string;
  readonly to: Relative;
}

/** The next generation of some versions. */
export type Generation = (
  manager: EntityManager,
  tenantId: string,
  of: readonly Relative[],
  limit: number,
) => Promise<Link[]>;

interface Row {
  readonly from: string;
  readonly id: string | null;
  readonly digest: string | null;
  readonly name: string | null;
}

/** A parent named by a digest that was not here then is found when its version has come since. */
export const parentsOf: Generation = async (manager, tenantId, of, limit) => {
  const sql = `
    SELECT link.version_id AS "from", coalesce(link.parent_id, later.id) AS id,
      coalesce(link.parent_digest, later.digest) AS digest, coalesce(link.parent_name, later.name) AS name
    FROM version_parents link
    LEFT JOIN LATERAL (
      SELECT version.id, version.digest, adapter.name || '@' || version.number AS name
      FROM adapter_versions version JOIN adapters adapter ON adapter.id = version.adapter_id
      WHERE link.parent_id IS NULL AND version.tenant_id = $1 AND version.digest = link.parent_digest
      ORDER BY version.id LIMIT 1
    ) later ON true
    WHERE link.tenant_id = $1 AND link.version_id = ANY($2::uuid[])
    ORDER BY link.version_id, link.position LIMIT $3`;
  return links((await manager.query(sql, [tenantId, idsOf(of), limit])) as Row[]);
};

export const childrenOf: Generation = async (manager, tenantId, of, limit) => {
  // Each half is one index; a child that names a parent both ways is one link.
  const sql = `
    SELECT DISTINCT parent.key AS "from", version.id, version.digest,
      adapter.name || '@' || version.number AS name
    FROM unnest($2::text[], $3::uuid[], $4::text[]) AS parent (key, id, digest)
    CROSS JOIN LATERAL (
      SELECT version_id FROM version_parents WHERE tenant_id = $1 AND parent_id = parent.id
      UNION
      SELECT version_id FROM version_parents
      WHERE tenant_id = $1 AND parent_digest = parent.digest AND parent_id IS NULL
    ) link
    JOIN adapter_versions version ON version.id = link.version_id
    JOIN adapters adapter ON adapter.id = version.adapter_id
    ORDER BY parent.key, version.id LIMIT $5`;
  const keys = of.map(({ key }) => key);
  const ids = of.map(({ id }) => id);
  const digests = of.map(({ digest }) => digest);
  return links((await manager.query(sql, [tenantId, keys, ids, digests, limit])) as Row[]);
};

function idsOf(of: readonly Relative[]): string[] {
  return of.flatMap(({ id }) => id ?? []);
}

function links(rows: readonly Row[]): Link[] {
  return rows.flatMap(({ from, id, digest, name }) => {
    const key = id ?? digest;
    return key === null ? [] : [{ from, to: { key, id, digest, name } }];
  });
}
