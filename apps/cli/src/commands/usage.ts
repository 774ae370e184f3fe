import type { UsageList } from '#contracts/usage-api.js';
import type { Command } from '../command.js';
import { tableText } from '../table.js';

const GROUPS = ['tenant', 'day', 'hour', 'minute', 'adapter', 'version', 'key'] as const;

export const usage: Command = {
  path: ['usage'],
  summary: 'sum up metered requests and tokens',
  options: {
    from: { kind: 'text', value: 'TIME', help: 'ISO 8601, or a day (default 30 days before --to)' },
    to: { kind: 'text', value: 'TIME', help: 'before this time (default now)' },
    by: { kind: 'text', value: 'GROUPS', help: 'comma-separated: adapter, version, key, day, hour, minute' },
    all: { kind: 'flag', help: 'of all tenants (operator keys; --by takes tenant too)' },
    csv: { kind: 'flag', help: 'as comma-separated values' },
  },
  async run({ values, print, api }) {
    const client = await api();
    const path = values.flag('all') ? '/v1/admin/usage' : '/v1/usage';
    const query = { from: values.text('from'), to: values.text('to'), group_by: values.text('by') };
    if (values.flag('csv')) {
      const answer = await client.fetch('GET', path, { query: { ...query, format: 'csv' } });
      return print.write((await answer.text()).trimEnd());
    }
    print.result(await client.get<UsageList>(path, query), usageText);
  },
};

function usageText({ data }: UsageList): string {
  if (data.length === 0) return '(none)';
  const groups = GROUPS.filter((group) => data[0]?.[group] !== undefined);
  const head = [
    ...groups.map((name) => name.toUpperCase()),
    'REQUESTS',
    'ERRORS',
    'PROMPT',
    'CACHED',
    'COMPLETION',
  ];
  const rows = data.map((row) => [
    ...groups.map((group) => row[group] ?? null),
    row.requests,
    row.errors,
    row.prompt_tokens,
    row.cached_tokens,
    row.completion_tokens,
  ]);
  return tableText(head, rows);
}
