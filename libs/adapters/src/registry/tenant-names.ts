import type { Queryable } from '#stores/postgres/notifications.js';

/** Tenants belong to another library; here only their names and ids are read. */
export interface TenantName {
  readonly id: string;
  readonly name: string;
}

export async function findTenantNamed(database: Queryable, name: string): Promise<TenantName | undefined> {
  const rows = await database.query('SELECT id, name FROM tenants WHERE name = $1', [name]);
  return (rows as TenantName[])[0];
}

/** A tenant that is not suspended: what a suspended one has shared cannot be called. */
export async function findActiveTenant(database: Queryable, name: string): Promise<TenantName | undefined> {
  const sql = "SELECT id, name FROM tenants WHERE name = $1 AND state = 'active'";
  return ((await database.query(sql, [name])) as TenantName[])[0];
}
