import { setTimeout as sleep } from 'node:timers/promises';
import type { Rejection, Revalidation } from '#contracts/revalidation-api.js';
import type { Command } from '../command.js';
import { CommandError, UsageError } from '../faults.js';

const ASK_EVERY_MS = 1_000;

export const revalidate: Command = {
  path: ['revalidate'],
  summary: 'validate stored versions against the base model that is served now',
  operands: [{ name: 'ADAPTER', help: 'one adapter (default all)', optional: true }],
  options: {
    all: { kind: 'flag', help: 'of all tenants (operator)' },
    rejected: {
      kind: 'flag',
      help: 'also those that this base has rejected already, or an earlier base when they came',
    },
    wait: { kind: 'flag', help: 'until all are judged; exit code 1 when some do not answer' },
    status: { kind: 'flag', help: 'only tell how many answer' },
  },
  notes: ['After a base change. On the base that they were made for, versions go on answering without it.'],
  async run({ values, print, api, signal }) {
    const adapter = values.optionalOperand('ADAPTER');
    const all = values.flag('all');
    if (all && adapter !== undefined) throw new UsageError('ADAPTER names one of a tenant: leave out --all');
    const path = all ? '/v1/admin/revalidations' : '/v1/revalidations';
    const client = await api();
    const ask = () => client.get<Revalidation>(path, { adapter });
    if (values.flag('status')) return print.result(await ask(), text);
    const started = await client.send<Revalidation>('POST', path, {
      ...(adapter === undefined ? {} : { adapter }),
      ...(values.flag('rejected') ? { rejected: true } : {}),
    });
    if (!values.flag('wait')) return print.result(started, text);
    const judged = await untilJudged(started, ask, (left) => print.note(`${left} left`), signal);
    print.result(judged, text);
    if (judged.rejected > 0)
      throw new CommandError(`${judged.rejected} of the versions cannot answer on ${judged.base_model}`);
  },
};

async function untilJudged(
  started: Revalidation,
  ask: () => Promise<Revalidation>,
  note: (left: number) => void,
  signal: AbortSignal,
): Promise<Revalidation> {
  let now = started;
  for (let told = -1; now.queued > 0; now = await ask()) {
    if (now.queued !== told) note(now.queued);
    told = now.queued;
    await sleep(ASK_EVERY_MS, undefined, { signal });
  }
  return now;
}

function text({ base_model, ready, queued, unvalidated, held, rejected, rejections }: Revalidation): string {
  const counts = [
    `${ready} answer`,
    `${queued} are being validated`,
    ...(unvalidated > 0 ? [`${unvalidated} were not validated against it`] : []),
    ...(held > 0 ? [`${held} are held back by a move`] : []),
    `${rejected} were rejected`,
  ];
  return [`${base_model}: ${counts.join(', ')}`, ...rejections.map(rejectionText)].join('\n');
}

function rejectionText({ tenant, adapter, version, error, failure }: Rejection): string {
  return `  ${tenant}/${adapter}@${version}: ${error?.message ?? failure ?? 'see its report'}`;
}
