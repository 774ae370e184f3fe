import type { Lineage } from '#contracts/lineage-api.js';
import { part } from '../api-client.js';
import type { Command } from '../command.js';
import { readVersion } from '../values.js';

export const lineage: Command = {
  path: ['adapters', 'lineage'],
  summary: 'show what a version was trained from and what was trained from it',
  operands: [{ name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' }],
  options: { depth: { kind: 'text', value: 'N', help: 'generations either way (default 8)' } },
  async run({ values, print, api }) {
    const { adapter, version } = readVersion(values.operand('ADAPTER@VERSION'));
    const found = await (await api()).get<Lineage>(
      `/v1/adapters/${part(adapter)}/versions/${version}/lineage`,
      { depth: values.integer('depth', { min: 1, max: 32 }) },
    );
    const page = { data: found.nodes, has_more: false, last_id: null };
    if (print.json) return print.result(found, () => '');
    print.list(page, ['VERSION', 'RELATION', 'DISTANCE', 'STATE', 'TRAINED BY', 'CREATED'], (each) => [
      each.adapter === null ? (each.digest ?? each.key).slice(0, 12) : `${each.adapter}@${each.version}`,
      each.relation,
      each.distance,
      each.state,
      each.training_job,
      each.created_at,
    ]);
    if (found.truncated) print.note('there are more; a smaller --depth shows whole generations');
  },
};
