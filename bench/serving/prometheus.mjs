/**
 * Sums of a Prometheus text by metric name, over all labels; buckets are left out. Where a series has a `tier`, there is
 * a sum for each of its values too, as `name{tier}`.
 * @param {string} text
 * @returns {Map<string, number>}
 */
export function metricSums(text) {
  const sums = new Map();
  for (const line of text.split('\n')) {
    const [, name = '', labels = '', value = ''] = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line) ?? [];
    if (name === '' || labels.includes('le="')) continue;
    const tier = /tier="([^"]*)"/.exec(labels)?.[1];
    for (const key of tier === undefined ? [name] : [name, `${name}{${tier}}`]) {
      sums.set(key, (sums.get(key) ?? 0) + Number(value));
    }
  }
  return sums;
}

/** Values of one label of one metric. @param {string} text @param {string} metric @param {string} label */
export function labelValues(text, metric, label) {
  const pattern = new RegExp(`^${metric}\\{[^}]*${label}="([^"]*)"`, 'gm');
  return [...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ''))];
}

/** @typedef {ReturnType<typeof engineDelta>} EngineDelta */

/**
 * What the engine says of the time between two scrapes. A figure that this engine does not report is undefined.
 * @param {ReadonlyMap<string, number>} before
 * @param {ReadonlyMap<string, number>} after
 */
export function engineDelta(before, after) {
  const delta = (/** @type {string} */ name) => {
    const end = after.get(`lorikeet_engine_${name}`);
    return end === undefined ? undefined : end - (before.get(`lorikeet_engine_${name}`) ?? 0);
  };
  const share = (/** @type {number | undefined} */ part, /** @type {number | undefined} */ whole) =>
    part === undefined || !whole ? undefined : part / whole;
  const native_s = delta('step_native_seconds_sum');
  const outside_s = delta('step_outside_seconds_sum');
  const mean_ms = (/** @type {string} */ name) => {
    const mean = share(delta(`${name}_sum`), delta(`${name}_count`));
    return mean === undefined ? undefined : mean * 1000;
  };
  return {
    steps: delta('step_native_seconds_count'),
    rowsPerStep: share(delta('step_rows_sum'), delta('step_rows_count')),
    native_s,
    outside_s,
    outsideShare: share(outside_s, (native_s ?? 0) + (outside_s ?? 0)),
    ttftMean_ms: mean_ms('ttft_seconds'),
    queueMean_ms: mean_ms('queue_seconds'),
    preemptions: delta('preemptions_total'),
    masks: delta('mask_seconds_count'),
    maskMean_ms: mean_ms('mask_seconds'),
    lateMasks: delta('masks_late_total'),
    structures: delta('structure_seconds_count'),
    structure_s: delta('structure_seconds_sum'),
    adapterLoads: delta('adapter_loads_total'),
    adapterLoadMean_ms: mean_ms('adapter_load_seconds'),
    adapterEvictions: delta('adapter_evictions_total'),
    adapterHitShare: share(delta('adapter_lookups_total{device}'), delta('adapter_lookups_total')),
    prefixHitShare: share(delta('prefix_hit_tokens_total'), delta('prefix_queried_tokens_total')),
  };
}
