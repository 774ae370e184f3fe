import { SimpleGrid } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { UsageList } from '#contracts/usage-api.js';
import { address, call } from '../api/client';
import { ChartPanel } from '../parts/chart-panel';
import { milliseconds } from '../parts/format';

const HOURS = 6;

/** Mean time to the first token, and per token after it, by the minute. */
export function LatencyCharts() {
  const { data } = useQuery({
    queryKey: ['latency'],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - HOURS * 3_600_000).toISOString();
      return call<UsageList>(address('/v1/admin/usage', { group_by: 'minute', from }), { signal });
    },
    refetchInterval: 30_000,
  });
  const rows = [...(data?.data ?? [])].sort((a, b) => ((a.minute ?? '') < (b.minute ?? '') ? -1 : 1));
  const times = rows.map(({ minute }) => Date.parse(minute ?? '') / 1000);
  const now_s = Date.now() / 1000;
  const range: [number, number] = [now_s - HOURS * 3600, now_s];
  const mean = (sum: number, number: number): number | null => (number === 0 ? null : sum / number);
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <ChartPanel
        title={`Time to the first token, last ${HOURS} hours`}
        label="Mean time to the first token by the minute"
        times={times}
        range={range}
        format={milliseconds}
        series={[
          {
            label: 'TTFT',
            color: '#f08c00',
            values: rows.map((row) => mean(row.ttft_ms_sum, row.ttft_count)),
          },
        ]}
      />
      <ChartPanel
        title={`Time per token after it, last ${HOURS} hours`}
        label="Mean time per token after the first by the minute"
        times={times}
        range={range}
        format={milliseconds}
        series={[
          {
            label: 'TPOT',
            color: '#1971c2',
            values: rows.map((row) => mean(row.tpot_ms_sum, row.tpot_count)),
          },
        ]}
      />
    </SimpleGrid>
  );
}
