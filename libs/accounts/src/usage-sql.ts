import type { AdminUsageGroup } from '#contracts/usage-api.js';
import { SUM_COLUMNS } from './usage-sums.js';

/** What is asked for; times in the form that PostgreSQL takes. */
export interface UsageQuestion {
  /** Undefined: all tenants. */
  readonly tenantId: string | undefined;
  readonly from: Date;
  readonly to: Date;
  readonly groups: ReadonlySet<AdminUsageGroup>;
  readonly adapter: string | undefined;
  readonly keyId: string | undefined;
  readonly rowLimit: number;
}

export interface Sql {
  readonly text: string;
  readonly parameters: readonly unknown[];
}

const utc = (form: string) => `to_char(at AT TIME ZONE 'UTC', '${form}')`;

/** In the order of a row's fields and of the answer. */
const GROUPS: Readonly<Record<AdminUsageGroup, string>> = {
  tenant: 'coalesce((SELECT name FROM tenants WHERE tenants.id = tenant_id), tenant_id::text)',
  day: utc('YYYY-MM-DD'),
  hour: utc('YYYY-MM-DD"T"HH24:00:00.000"Z"'),
  minute: utc('YYYY-MM-DD"T"HH24:MI:00.000"Z"'),
  adapter: 'adapter',
  version: 'version',
  key: 'key_id',
};

/** Fields of an answer by their columns. */
const SUMS = {
  requests: 'requests',
  prompt_tokens: 'prompt_tokens',
  cached_tokens: 'cached_tokens',
  completion_tokens: 'completion_tokens',
  errors: 'errors',
  ttft_count: 'first_tokens',
  ttft_ms_sum: 'ttft_ms',
  tpot_count: 'tpot_sequences',
  tpot_ms_sum: 'tpot_ms',
  cost: 'cost',
};

/** Fields that name a row's group, then its sums. */
export function fieldsOf(groups: ReadonlySet<AdminUsageGroup>): string[] {
  return [...groupsInOrder(groups), ...Object.keys(SUMS)];
}

/**
 * Sums per group in one statement, hence of one moment: whole days that are rolled up from usage_days, all else from
 * usage_minutes. A day whose minutes were deleted stands at its beginning. Sums come as float8, which holds every count that we shall ever reach exactly and arrives as a number.
 */
export function usageSql(question: UsageQuestion): Sql {
  const { tenantId, from, to, groups, adapter, keyId, rowLimit } = question;
  const fine = groups.has('hour') || groups.has('minute');
  const parameters: unknown[] = [from, to, !fine];
  const filters: string[] = [];
  const filter = (column: string, value: string | undefined) => {
    if (value !== undefined) filters.push(`AND ${column} = $${parameters.push(value)}`);
  };
  filter('tenant_id', tenantId);
  filter('adapter', adapter);
  filter('key_id', keyId);
  const keys = groupsInOrder(groups);
  const order = keys.map((_, index) => index + 1).join(', ');
  const columns = ['tenant_id', 'adapter', 'version', 'key_id', ...SUM_COLUMNS].join(', ');
  const selected = [
    ...keys.map((group) => `${GROUPS[group]} AS ${group}`),
    ...Object.entries(SUMS).map(([field, column]) => `coalesce(sum(${column}), 0)::float8 AS ${field}`),
  ];
  const text = `
    WITH days AS (
      SELECT day, low, high, $3 AND rolled_at IS NOT NULL AND low >= $1 AND high <= $2 AS whole,
        pruned_at IS NOT NULL AND low >= $1 AS pruned
      FROM usage_rollups,
        LATERAL (SELECT day::timestamp AT TIME ZONE 'UTC' AS low, (day + 1)::timestamp AT TIME ZONE 'UTC' AS high) span
      WHERE high > $1 AND low < $2
    ), spent AS (
      SELECT low AS at, ${columns} FROM days JOIN usage_days USING (day) WHERE (whole OR pruned) ${filters.join(' ')}
      UNION ALL
      SELECT minute, ${columns} FROM days JOIN usage_minutes
        ON minute >= greatest(low, $1) AND minute < least(high, $2)
      WHERE NOT whole ${filters.join(' ')}
    )
    SELECT ${selected.join(', ')} FROM spent
    ${order && `GROUP BY ${order} ORDER BY ${order}`} LIMIT ${rowLimit}`;
  return { text, parameters };
}

function groupsInOrder(groups: ReadonlySet<AdminUsageGroup>): AdminUsageGroup[] {
  return (Object.keys(GROUPS) as AdminUsageGroup[]).filter((group) => groups.has(group));
}
