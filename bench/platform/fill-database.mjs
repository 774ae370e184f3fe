/** One tenant with many adapters, written by the database itself: ten versions each, `latest` and `production`. */

export const TENANT = { id: '01900000-0000-7000-8000-ffffffffffff', name: 'big' };
export const VERSIONS_PER_ADAPTER = 10;
const ROWS_PER_STATEMENT = 100_000;

/** Ids that sort as their numbers do, as real ones sort by time. @param {string} kind @param {string} number */
const id = (kind, number) => `('0190${kind}00-0000-7000-8000-' || lpad(to_hex(${number}), 12, '0'))::uuid`;
/** @param {string} kind @param {string} number */
const hash = (kind, number) => `md5('${kind}' || (${number})) || md5((${number}) || '${kind}')`;

export const adapterId = (/** @type {number} */ number) =>
  `0190aa00-0000-7000-8000-${number.toString(16).padStart(12, '0')}`;
export const adapterName = (/** @type {number} */ number) => `adapter-${number}`;

const ADAPTERS = `
  INSERT INTO adapters (id, tenant_id, name, labels, next_version)
  SELECT ${id('aa', 'a')}, $1, 'adapter-' || a,
    jsonb_build_object('team', 'team-' || a % 100, 'env', CASE WHEN a % 2 = 0 THEN 'prod' ELSE 'dev' END, 'run', 'run-' || a),
    ${VERSIONS_PER_ADAPTER + 1}
  FROM generate_series($2::int, $3::int) a`;
const VERSIONS = `
  INSERT INTO adapter_versions (id, tenant_id, adapter_id, number, state, digest, rank, modules, base_model, base_digest,
    source, training_job, ready_at)
  SELECT ${id('bb', 'a::bigint * 16 + n')}, $1, ${id('aa', 'a')}, n, 'ready', ${hash('m', 'a * 16 + n')}, 8,
    '{q_proj,v_proj}', 'base', 'base', 'upload', 'job-' || a, now()
  FROM generate_series($2::int, $3::int) a, generate_series(1, ${VERSIONS_PER_ADAPTER}) n`;
const FILES = `
  INSERT INTO version_files (version_id, name, tenant_id, sha256, bytes)
  SELECT ${id('bb', 'a::bigint * 16 + n')}, file.name, $1,
    CASE file.name WHEN 'manifest.json' THEN ${hash('m', 'a * 16 + n')} ELSE ${hash('w', 'a * 16 + n')} END, 1000
  FROM generate_series($2::int, $3::int) a, generate_series(1, ${VERSIONS_PER_ADAPTER}) n,
    (VALUES ('manifest.json'), ('adapter_model.safetensors')) file (name)`;
const ROUTES = `jsonb_build_array(jsonb_build_object('version', ${VERSIONS_PER_ADAPTER}, 'weight', 1))`;
const ALIASES = `
  INSERT INTO aliases (adapter_id, name, tenant_id, routes, revision)
  SELECT ${id('aa', 'a')}, alias.name, $1, ${ROUTES}, 1
  FROM generate_series($2::int, $3::int) a, (VALUES ('latest'), ('production')) alias (name)`;
const CHANGES = `
  INSERT INTO alias_changes (adapter_id, alias, revision, tenant_id, action, routes)
  SELECT ${id('aa', 'a')}, alias.name, 1, $1, 'set', ${ROUTES}
  FROM generate_series($2::int, $3::int) a, (VALUES ('latest'), ('production')) alias (name)`;

/** By table, in the order of their foreign keys. */
const INSERTS = {
  adapters: ADAPTERS,
  adapter_versions: VERSIONS,
  version_files: FILES,
  aliases: ALIASES,
  alias_changes: CHANGES,
};

/**
 * Adds adapters until there are `to`, then lets the database learn of them.
 * @param {import('pg').Client} client @param {{ from: number, to: number }} range  numbers of adapters, from 1
 * @param {(adapters: number) => void} [onProgress]
 */
export async function fillDatabase(client, { from, to }, onProgress = () => {}) {
  await client.query('INSERT INTO tenants (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    TENANT.id,
    TENANT.name,
  ]);
  await client.query('SET synchronous_commit = off');
  const step = ROWS_PER_STATEMENT / VERSIONS_PER_ADAPTER;
  for (let first = from; first <= to; first += step) {
    const last = Math.min(first + step - 1, to);
    for (const [table, sql] of Object.entries(INSERTS)) {
      await client.query(sql, [TENANT.id, first, last]);
      // Checks of foreign keys keep the plan that suited the table when they were first run: for an empty one, a scan.
      await client.query(`ANALYZE ${table}`);
    }
    onProgress(last);
  }
  for (const table of Object.keys(INSERTS)) await client.query(`VACUUM ANALYZE ${table}`);
}
