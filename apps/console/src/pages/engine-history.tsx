import { useQuery } from '@tanstack/react-query';
import type { EngineHistoryList, EnginePoint } from '#contracts/history-api.js';
import { address, call } from '../api/client';
import { ChartPanel } from '../parts/chart-panel';
import { SimpleGrid } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { count, percent } from '../parts/format';

const HOURS = 24;
const COLORS = ['#0ca678', '#4dabf7', '#7950f2', '#f08c00', '#e64980', '#868e96'];

/** How busy each engine was over the last day. */
export function EngineHistory() {
  const { data, error } = useQuery({
    queryKey: ['engine history'],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - HOURS * 3_600_000).toISOString();
      return call<EngineHistoryList>(address('/v1/admin/history/engines', { from }), { signal });
    },
    refetchInterval: 60_000,
  });
  if (error) return <ErrorNote error={error} />;
  if (!data) return null;
  const engines = [...new Set(data.data.map(({ engine }) => engine))].slice(0, COLORS.length);
  const times = [...new Set(data.data.map(({ at }) => Date.parse(at) / 1000))].sort((a, b) => a - b);
  const found = new Map(data.data.map((point) => [`${point.engine} ${Date.parse(point.at) / 1000}`, point]));
  const series = (of: (point: EnginePoint) => number) =>
    engines.map((engine, index) => ({
      label: engine,
      color: COLORS[index] ?? '#868e96',
      values: times.map((at_s) => {
        const point = found.get(`${engine} ${at_s}`);
        return point ? of(point) : null;
      }),
    }));
  const range: [number, number] = [Date.parse(data.from) / 1000, Date.parse(data.to) / 1000];
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <ChartPanel
        title={`Requests in the batch, last ${HOURS} hours`}
        label="Running requests of each engine"
        times={times}
        range={range}
        format={(value) => value.toFixed(1)}
        series={series(({ running_requests }) => running_requests)}
      />
      <ChartPanel
        title={`Requests that wait, last ${HOURS} hours`}
        label="Waiting requests of each engine"
        times={times}
        range={range}
        format={(value) => value.toFixed(1)}
        series={series(({ waiting_requests }) => waiting_requests)}
      />
      <ChartPanel
        title={`KV cache in use, last ${HOURS} hours`}
        label="Share of the KV cache in use on each engine"
        times={times}
        range={range}
        format={percent}
        series={series(({ kv_share }) => kv_share)}
      />
      <ChartPanel
        title={`Adapters resident, last ${HOURS} hours`}
        label="Adapters resident on each engine"
        times={times}
        range={range}
        format={count}
        series={series(({ adapters }) => adapters)}
      />
    </SimpleGrid>
  );
}
