import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { COMPLETION_TOKENS, PROMPT_TOKENS } from './traffic.mjs';

/** @typedef {{ ok: boolean, text: string }} Finding */

/** Every version of the adapters, once none has work before it. @param {import('./caller.mjs').Caller} caller @param {readonly string[]} adapters */
export async function settledVersions(caller, adapters) {
  const all = [];
  for (const adapter of adapters) {
    for (let i = 0; ; i++) {
      const { data } = await caller.insist(200, 'GET', `/v1/adapters/${adapter}/versions?limit=100`);
      if (data.every((/** @type {any} */ { state }) => state === 'ready' || state === 'rejected')) {
        all.push(...data);
        break;
      }
      if (i === 2_400) throw new Error(`versions of ${adapter} do not settle`);
      await sleep(250);
    }
  }
  return all;
}

/**
 * @param {{ versions: any[], accepted: readonly import('./uploads.mjs').Accepted[], seenReady: ReadonlyMap<string, string> }} input
 * @returns {Finding[]}
 */
export function checkVersions({ versions, accepted, seenReady }) {
  const byId = new Map(versions.map((version) => [version.id, version]));
  const byName = new Map(versions.map((version) => [`${version.adapter}@${version.version}`, version]));
  const lost = accepted.filter(({ id, weights_sha256 }) => byId.get(id)?.weights_sha256 !== weights_sha256);
  const rejected = versions.filter(({ state }) => state !== 'ready');
  const changed = [...seenReady].filter(([name, digest]) => byName.get(name)?.digest !== digest);
  return [
    { ok: lost.length === 0, text: `accepted uploads that are lost: ${lost.length} of ${accepted.length}` },
    {
      ok: rejected.length === 0,
      text: `versions that are not ready in the end: ${rejected.length} of ${versions.length} ${rejected.map(({ failure }) => failure).join('; ')}`,
    },
    {
      ok: changed.length === 0,
      text: `versions seen ready that are gone or changed: ${changed.length} of ${seenReady.size}`,
    },
  ];
}

/** Calls every version and compares with the first. @param {import('./caller.mjs').Caller} caller @param {any[]} versions @returns {Promise<Finding>} */
export async function checkAnswers(caller, versions) {
  /** @type {Map<string, number>} */
  const answers = new Map();
  let next = 0;
  const line = async () => {
    while (next < versions.length) {
      const { adapter, version } = versions[next++];
      const body = {
        model: `${adapter}@${version}`,
        prompt: [9, 8, 7],
        max_tokens: 4,
        temperature: 0,
        ignore_eos: true,
        return_token_ids: true,
      };
      const { choices } = await caller.insist(200, 'POST', '/v1/completions', body);
      const ids = JSON.stringify(choices[0].token_ids);
      answers.set(ids, (answers.get(ids) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 4 }, line));
  return {
    ok: answers.size === 1,
    text: `versions called: ${versions.length}, distinct answers: ${answers.size}`,
  };
}

/**
 * What the server counted lies between what surely arrived and what may have. An answer that came less than `unflushed_ms`
 * before the API was killed may be lost with it; nothing may be counted twice.
 * @param {{ tallies: readonly import('./traffic.mjs').Tally[], rows: any[], apiKills_ms: readonly number[], unflushed_ms: number }} input
 * @returns {Finding[]}
 */
export function checkUsage({ tallies, rows, apiKills_ms, unflushed_ms }) {
  /** @type {Finding[]} */
  const findings = [];
  const total = { answered: 0, counted: 0, atRisk: 0, cut: 0 };
  for (const { keyId, answered, cut, refused } of tallies) {
    const row = rows.find(({ key }) => key === keyId) ?? {
      requests: 0,
      prompt_tokens: 0,
      completion_tokens: 0,
    };
    const atRisk = answered.filter(({ at_ms }) =>
      apiKills_ms.some((kill_ms) => at_ms <= kill_ms + 200 && at_ms > kill_ms - unflushed_ms),
    ).length;
    const sure = answered.length - atRisk;
    const most = answered.length + cut;
    const within = (/** @type {number} */ value, /** @type {number} */ each, /** @type {number} */ limit) =>
      value >= sure * each && value <= limit * each;
    const ok =
      within(row.completion_tokens, COMPLETION_TOKENS, most) &&
      within(row.prompt_tokens, PROMPT_TOKENS, most + refused) &&
      row.requests >= sure &&
      row.requests <= most + refused;
    if (!ok) {
      const counted = `${row.requests} requests, ${row.prompt_tokens} + ${row.completion_tokens} tokens`;
      findings.push({
        ok,
        text: `key ${keyId}: counted ${counted}; answered ${answered.length} (${atRisk} at risk), cut ${cut}, refused ${refused}`,
      });
    }
    total.answered += answered.length;
    total.counted += row.completion_tokens / COMPLETION_TOKENS;
    total.atRisk += atRisk;
    total.cut += cut;
  }
  const text = `usage: ${total.answered} answered, ${total.counted} counted by completion tokens; ${total.atRisk} came just before a kill of the API, ${total.cut} were cut`;
  return [...findings, { ok: findings.length === 0, text }];
}

/** Files of the blob store by name. @param {string} dataDir */
function storedBlobs(dataDir) {
  const folder = join(dataDir, 'artifacts', 'sha256');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => ({ path: join(folder, path), hash: path.split('/').at(-1) ?? '' }))
    .filter(({ hash }) => /^[0-9a-f]{64}$/.test(hash));
}

/** As if a day had passed: the sweep may now take what nobody owns. @param {string} dataDir */
export function ageBlobs(dataDir) {
  const before = new Date(Date.now() - 48 * 3600_000);
  for (const { path } of storedBlobs(dataDir)) utimesSync(path, before, before);
}

/** @param {import('./product.mjs').Product} product @returns {Promise<Finding>} */
export async function checkBlobs(product) {
  const client = new pg.Client({ connectionString: product.settingOf('DATABASE_URL') });
  await client.connect();
  try {
    for (let i = 0; ; i++) {
      const { rows } = await client.query('SELECT DISTINCT sha256 FROM version_files');
      const owned = new Set(rows.map(({ sha256 }) => sha256));
      const stored = storedBlobs(product.options.dataDir).map(({ hash }) => hash);
      const orphans = stored.filter((hash) => !owned.has(hash));
      const missing = [...owned].filter((hash) => !stored.includes(hash));
      const ok = orphans.length === 0 && missing.length === 0;
      if (ok || i === 120)
        return {
          ok,
          text: `blobs after the sweep: ${stored.length} stored, ${owned.size} owned, ${orphans.length} orphans, ${missing.length} missing`,
        };
      await sleep(250);
    }
  } finally {
    await client.end();
  }
}
