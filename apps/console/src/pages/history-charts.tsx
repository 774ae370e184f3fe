import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { HistoryList, HistoryPoint } from '#contracts/history-api.js';
import { address, call } from '../api/client';
import { ChartPanel } from '../parts/chart-panel';
import { Group, SimpleGrid } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { count, milliseconds, percent } from '../parts/format';
import { Segments } from '../parts/segments';

const RANGES = { '1h': 3_600, '6h': 21_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000 } as const;
type Range = keyof typeof RANGES;

interface HistoryChartsProps {
  /** Of all, or of the tenant. */
  readonly path: '/v1/admin/history' | '/v1/history';
  readonly tenant?: string | undefined;
}

/** What happened over the last hours or days, from the database: a restart changes nothing of it. */
export function HistoryCharts({ path, tenant }: HistoryChartsProps) {
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { range?: Range };
  const range = search.range !== undefined && search.range in RANGES ? search.range : '1h';
  const length_s = RANGES[range];
  const { data, error, refetch } = useQuery({
    queryKey: ['history', path, tenant, range],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - length_s * 1000).toISOString();
      return call<HistoryList>(address(path, { from }), { tenant, signal });
    },
    // The point that grows is the last one.
    refetchInterval: length_s <= 21_600 ? 15_000 : 60_000,
    placeholderData: (before) => before,
  });
  return (
    <section aria-label="History">
      <Group mb="md">
        <Segments
          aria-label="Time of the charts"
          data={Object.keys(RANGES)}
          value={range}
          onChange={(value) =>
            void navigate({ to: '.', search: (before) => ({ ...before, range: value }) as never })
          }
        />
      </Group>
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data && <Charts list={data} />}
    </section>
  );
}

function Charts({ list }: { list: HistoryList }) {
  const { step_s } = list;
  const points = everyStep(list);
  const times = points.map(({ at_s }) => at_s);
  const range: [number, number] = [Date.parse(list.from) / 1000, Date.parse(list.to) / 1000];
  const values = (of: (point: HistoryPoint) => number | null, empty: number | null) =>
    points.map(({ point }) => (point ? of(point) : empty));
  const rate = (of: (point: HistoryPoint) => number) => values((point) => of(point) / step_s, 0);
  const shown = { times, range };
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <ChartPanel
        {...shown}
        title="Requests per second"
        label="Requests and errors per second"
        format={(value) => value.toFixed(value < 1 ? 2 : 1)}
        series={[
          { label: 'requests', color: '#0ca678', values: rate(({ requests }) => requests) },
          { label: 'errors', color: '#e03131', values: rate(({ errors }) => errors) },
        ]}
      />
      <ChartPanel
        {...shown}
        title="Tokens per second"
        label="Prompt and completion tokens per second"
        format={count}
        series={[
          { label: 'prompt', color: '#4dabf7', values: rate(({ prompt_tokens }) => prompt_tokens) },
          { label: 'completion', color: '#7950f2', values: rate((point) => point.completion_tokens) },
        ]}
      />
      {LATENCIES.map(({ name, title, label, color }) => (
        <ChartPanel
          key={name}
          {...shown}
          title={title}
          label={label}
          format={milliseconds}
          series={[
            { label: 'p50', color, values: values((point) => point[name].p50_ms, null) },
            { label: 'p95', color: '#868e96', values: values((point) => point[name].p95_ms, null) },
          ]}
        />
      ))}
      <ChartPanel
        {...shown}
        title="Goodput: within the limits of TTFT and TPOT"
        label="Share of requests within the limits"
        format={percent}
        series={[{ label: 'share', color: '#0ca678', values: values(({ goodput }) => goodput.share, null) }]}
      />
    </SimpleGrid>
  );
}

const LATENCIES = [
  { name: 'queue', title: 'Queue time', label: 'Median and 95th percentile of queue time', color: '#e8590c' },
  {
    name: 'ttft',
    title: 'Time to the first token',
    label: 'Median and 95th percentile of TTFT',
    color: '#f08c00',
  },
  {
    name: 'tpot',
    title: 'Time per token after it',
    label: 'Median and 95th percentile of TPOT',
    color: '#1971c2',
  },
] as const;

/** Steps without a request are not in the answer, yet are zero, not missing. */
function everyStep({ data, from, to, step_s }: HistoryList) {
  const byStart = new Map(data.map((point) => [Date.parse(point.at) / 1000, point]));
  const first_s = Date.parse(from) / 1000;
  const steps = Math.ceil((Date.parse(to) / 1000 - first_s) / step_s);
  return Array.from({ length: steps }, (_, index) => {
    const at_s = first_s + index * step_s;
    return { at_s, point: byStart.get(at_s) };
  });
}
