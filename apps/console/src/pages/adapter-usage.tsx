import { useQuery } from '@tanstack/react-query';
import type { UsageList } from '#contracts/usage-api.js';
import { address, call } from '../api/client';
import { ChartPanel } from '../parts/chart-panel';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { count } from '../parts/format';
import { useActing } from '../tenant';
import { UsageTable } from './usage-table';

const DAYS = 30;

export function AdapterUsage({ adapter }: { adapter: string }) {
  const { header } = useActing();
  const ask = (group_by: string) => ({
    queryKey: ['usage', header, adapter, group_by],
    queryFn: ({ signal }: { signal: AbortSignal }) => {
      const from = new Date(Date.now() - DAYS * 86_400_000).toISOString();
      return call<UsageList>(address('/v1/usage', { adapter, group_by, from }), { tenant: header, signal });
    },
  });
  const days = useQuery(ask('day'));
  const versions = useQuery(ask('version'));
  if (days.error) return <ErrorNote error={days.error} />;
  if (!days.data || !versions.data) return null;
  if (versions.data.data.length === 0)
    return <Empty text={`Nobody has called ${adapter} in the last ${DAYS} days.`} />;
  const rows = [...days.data.data].sort((a, b) => ((a.day ?? '') < (b.day ?? '') ? -1 : 1));
  return (
    <>
      <ChartPanel
        title={`Completion tokens by day`}
        label="Completion tokens by day"
        times={rows.map(({ day }) => Date.parse(day ?? '') / 1000)}
        range={[Date.now() / 1000 - DAYS * 86_400, Date.now() / 1000]}
        format={count}
        series={[
          {
            label: 'tokens',
            color: '#7950f2',
            values: rows.map(({ completion_tokens }) => completion_tokens),
          },
        ]}
      />
      <UsageTable rows={versions.data.data} by={['version']} currency={versions.data.currency} />
    </>
  );
}
