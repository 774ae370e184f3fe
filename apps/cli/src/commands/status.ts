import type { Overview } from '#contracts/overview-api.js';
import type { Command } from '../command.js';
import { bytesText, recordText } from '../table.js';

export const status: Command = {
  path: ['status'],
  summary: 'show health, load and totals on one page (operator)',
  async run({ print, api }) {
    print.result(await (await api()).get<Overview>('/v1/admin/overview'), overviewText);
  },
};

function overviewText({
  checks,
  maintenance,
  engines,
  tenants,
  versions,
  usage,
  queues,
  ...rest
}: Overview): string {
  const total = (of: (minute: Overview['usage'][number]) => number): number =>
    usage.reduce((sum, minute) => sum + of(minute), 0);
  return recordText({
    database: checks.database,
    queue: checks.queue,
    engines: `${engines.ready} of ${engines.total} ready`,
    maintenance: maintenance.enabled ? maintenance.message : 'no',
    'base model': rest.base_model,
    requests: `${engines.running_requests} running, ${engines.waiting_requests} waiting`,
    'KV pages': `${engines.kv_free_pages} of ${engines.kv_pages} free`,
    'adapter memory': `${bytesText(engines.adapter_bytes)} of ${bytesText(engines.adapter_limit_bytes)}`,
    tenants: `${tenants.active} active, ${tenants.suspended} suspended`,
    adapters: rest.adapters,
    versions: Object.entries(versions)
      .map(([state, count]) => `${count} ${state}`)
      .join(', '),
    jobs: queues
      ?.map(
        ({ id, counts }) =>
          `${id}: ${counts.active} active, ${counts.waiting} waiting, ${counts.failed} failed`,
      )
      .join('; '),
    'last hour': `${total(({ requests }) => requests)} requests, ${total(({ errors }) => errors)} errors, ${total(
      ({ completion_tokens }) => completion_tokens,
    )} completion tokens`,
  });
}
