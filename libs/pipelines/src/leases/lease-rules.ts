/**
 * Work that lies in a table: a row with `due_at` has something to be done at that time. Who takes it sets `lease_id`
 * and moves `due_at` to where the lease ends, so that work whose worker died is due again by itself; only the holder
 * of the lease may write the row. `due_at` null: nothing is left to do.
 */
export interface LeasedTable {
  readonly table: string;
  /** The column by whose values work is shared out, so that one slow receiver or busy tenant does not hold the rest up. */
  readonly fairBy: string;
}

export interface Lease {
  readonly id: string;
  readonly leaseId: string;
  /** The value of the column `fairBy`. */
  readonly share: string;
}

/** A claim of up to $2 rows for $3 seconds, at most $4 of one share, none of the shares in $5. $1 is the lease. */
export function claimSql({ table, fairBy }: LeasedTable): string {
  return `
    WITH due AS (
      SELECT id, row_number() OVER (PARTITION BY ${fairBy} ORDER BY due_at, id) AS place
      FROM (
        SELECT id, ${fairBy}, due_at FROM ${table}
        WHERE due_at <= now() AND ${fairBy} <> ALL ($5::uuid[])
        ORDER BY due_at LIMIT 500
      ) AS oldest
    ), mine AS (
      SELECT work.id FROM ${table} AS work JOIN due USING (id)
      WHERE place <= $4 AND work.due_at <= now()
      ORDER BY work.due_at, work.id LIMIT $2
      FOR UPDATE OF work SKIP LOCKED
    )
    UPDATE ${table} AS work
    SET lease_id = $1, due_at = now() + make_interval(secs => $3)
    FROM mine WHERE work.id = mine.id
    RETURNING work.id, work.${fairBy} AS share`;
}

/** Keeps the lease $2 of row $1 for $3 more seconds. */
export function renewSql({ table }: LeasedTable): string {
  return `UPDATE ${table} SET due_at = now() + make_interval(secs => $3) WHERE id = $1 AND lease_id = $2 RETURNING id`;
}
