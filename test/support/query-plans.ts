import type { DataSource } from 'typeorm';

/** One node of a plan as EXPLAIN (FORMAT JSON) gives it. */
interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Plan Rows': number;
  readonly Plans?: readonly PlanNode[];
}

interface Query {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** A sort of fewer rows is a page or a handful. */
const SMALL_SORT_ROWS = 1_500;
const EXPLAINABLE = /^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b/i;

/** Runs `call`, then says which of its queries read a large table from end to end or sort much of it. */
export async function slowPlans(
  database: DataSource,
  tables: ReadonlySet<string>,
  call: () => Promise<unknown>,
): Promise<string[]> {
  const slow: string[] = [];
  for (const query of await queriesOf(database, call)) {
    for (const node of await planOf(database, query)) {
      const isScan = node['Node Type'] === 'Seq Scan' && tables.has(node['Relation Name'] ?? '');
      const isSort = node['Node Type'].includes('Sort') && node['Plan Rows'] > SMALL_SORT_ROWS;
      if (isScan || isSort)
        slow.push(
          `${node['Node Type']} ${node['Relation Name'] ?? ''} of ${node['Plan Rows']} rows: ${query.sql}`,
        );
    }
  }
  return slow;
}

async function queriesOf(database: DataSource, call: () => Promise<unknown>): Promise<Query[]> {
  const queries: Query[] = [];
  const { logger, logging = false } = database.options;
  const ignore = () => undefined;
  database.setOptions({
    logging: ['query'],
    logger: {
      logQuery: (sql, values: unknown[] = []) => {
        if (EXPLAINABLE.test(sql) && !sql.includes('pg_notify')) queries.push({ sql, values });
      },
      logQueryError: ignore,
      logQuerySlow: ignore,
      logSchemaBuild: ignore,
      logMigration: ignore,
      log: ignore,
    },
  });
  try {
    await call();
  } finally {
    database.setOptions({ logging, ...(logger ? { logger } : {}) });
  }
  return queries;
}

async function planOf(database: DataSource, { sql, values }: Query): Promise<PlanNode[]> {
  const rows = await database.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }[]>(
    `EXPLAIN (FORMAT JSON) ${sql}`,
    [...values],
  );
  const nodes: PlanNode[] = [];
  const walk = (node: PlanNode): void => {
    nodes.push(node);
    node.Plans?.forEach(walk);
  };
  const root = rows[0]?.['QUERY PLAN'][0]?.Plan;
  if (root) walk(root);
  return nodes;
}
