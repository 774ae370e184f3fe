import type { AdminLive, LiveFigures as LiveResource } from '#contracts/live-api.js';
import { useLive } from '../api/live';
import { ChartPanel } from '../parts/chart-panel';
import { Badge, Group, Paper, SimpleGrid, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { Figure } from '../parts/figure';
import { count, milliseconds, percent } from '../parts/format';
import { StateBadge } from '../parts/state-badge';

type Figures = LiveResource & Partial<Pick<AdminLive, 'engines' | 'capacity_share' | 'ceiling_share'>>;

interface LiveFiguresProps {
  readonly path: '/v1/admin/live' | '/v1/live';
  readonly tenant?: string | undefined;
}

/** What happens now, every second; queue time first, for it is what callers feel when engines are too few. */
export function LiveFigures({ path, tenant }: LiveFiguresProps) {
  const { series, connected } = useLive<Figures>(path, tenant);
  const now = series.at(-1);
  return (
    <section aria-label="Live figures" aria-busy={now === undefined}>
      <Group mb="md" gap="xs">
        <Badge color={connected ? 'teal' : 'gray'} variant="light">
          {connected ? 'live' : 'connecting'}
        </Badge>
        <Text size="xs" c="dimmed">
          Rates of the last 10 seconds, times of the last minute
        </Text>
      </Group>
      {now && <Tiles now={now} />}
      {now && <Rates series={series} />}
      {now && (
        <SimpleGrid cols={{ base: 1, md: 2 }} mt="md">
          <Errors now={now} />
          {now.engines && <Engines engines={now.engines} />}
        </SimpleGrid>
      )}
    </section>
  );
}

function Tiles({ now }: { now: Figures }) {
  const { per_second, last_minute, capacity_share, ceiling_share } = now;
  const { queue, ttft, tpot, goodput } = last_minute;
  const p95 = (p95_ms: number | null): string => `p95 ${milliseconds(p95_ms)}`;
  const rate = (value: number): string => (value < 10 ? value.toFixed(1) : count(Math.round(value)));
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }}>
      <Figure label="Queue time" value={milliseconds(queue.p50_ms)} note={p95(queue.p95_ms)} />
      <Figure label="First token" value={milliseconds(ttft.p50_ms)} note={p95(ttft.p95_ms)} />
      <Figure label="Per token" value={milliseconds(tpot.p50_ms)} note={p95(tpot.p95_ms)} />
      <Figure
        label="Goodput"
        value={percent(goodput.share)}
        note={`${rate(per_second.good_tokens)} tokens / s within the limits`}
      />
      <Figure
        label="Requests / s"
        value={rate(per_second.requests)}
        note={`${count(last_minute.requests)} in the last minute`}
      />
      <Figure
        label="Tokens / s"
        value={rate(per_second.prompt_tokens + per_second.completion_tokens)}
        note={
          capacity_share === undefined || capacity_share === null
            ? `${rate(per_second.completion_tokens)} generated`
            : `${rate(per_second.completion_tokens)} generated, ${percent(capacity_share)} of full batches`
        }
      />
      <Figure
        label="Errors / s"
        value={rate(per_second.errors)}
        note={
          last_minute.requests === 0
            ? undefined
            : `${percent(last_minute.errors / last_minute.requests)} of the requests`
        }
      />
      {ceiling_share !== undefined && <Ceiling share={ceiling_share} engines={now.engines ?? []} />}
    </SimpleGrid>
  );
}

/** Against the same steps without adapters, as each engine measures by those that have none. */
function Ceiling({ share, engines }: { share: number | null; engines: AdminLive['engines'] }) {
  const ceiling = engines.reduce((sum, engine) => sum + (engine.ceiling_tokens_per_second ?? 0), 0);
  const note =
    share === null
      ? 'nothing is computed now'
      : `of ${count(Math.round(ceiling))} tokens / s without adapters`;
  return <Figure label="Speed with adapters" value={percent(share)} note={note} />;
}

const SHOWN_S = 180;

function Rates({ series }: { series: readonly Figures[] }) {
  const last_s = Date.parse(series.at(-1)?.at ?? '') / 1000;
  const shown = series.filter(({ at }) => Date.parse(at) / 1000 > last_s - SHOWN_S);
  const times = shown.map(({ at }) => Date.parse(at) / 1000);
  const range: [number, number] = [last_s - SHOWN_S, last_s];
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} mt="md">
      <ChartPanel
        title="Requests per second, now"
        label="Requests and errors per second over the last three minutes"
        times={times}
        range={range}
        height={120}
        format={(value) => value.toFixed(value < 10 ? 1 : 0)}
        series={[
          { label: 'requests', color: '#0ca678', values: shown.map((each) => each.per_second.requests) },
          { label: 'errors', color: '#e03131', values: shown.map((each) => each.per_second.errors) },
        ]}
      />
      <ChartPanel
        title="Tokens per second, now"
        label="Prompt and completion tokens per second over the last three minutes"
        times={times}
        range={range}
        height={120}
        format={count}
        series={[
          { label: 'prompt', color: '#4dabf7', values: shown.map((each) => each.per_second.prompt_tokens) },
          {
            label: 'completion',
            color: '#7950f2',
            values: shown.map((each) => each.per_second.completion_tokens),
          },
        ]}
      />
    </SimpleGrid>
  );
}

function Errors({ now }: { now: Figures }) {
  const codes = Object.entries(now.last_minute.error_codes).sort(([, a], [, b]) => b - a);
  return (
    <Paper p="md">
      <Title order={2} size="h5" mb="xs">
        Errors of the last minute
      </Title>
      {codes.length === 0 && (
        <Text size="sm" c="dimmed">
          None.
        </Text>
      )}
      {codes.map(([code, number]) => (
        <Group key={code} justify="space-between">
          <Text size="sm" className="mono">
            {code}
          </Text>
          <Text size="sm">{count(number)}</Text>
        </Group>
      ))}
    </Paper>
  );
}

function Engines({ engines }: { engines: AdminLive['engines'] }) {
  if (engines.length === 0) return <Empty text="No engine has answered yet." />;
  return (
    <Paper p="md">
      <Title order={2} size="h5" mb="xs">
        Engines
      </Title>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Engines now">
        <table className="rows narrow">
          <thead>
            <tr>
              <th>Engine</th>
              <th>State</th>
              <th className="numbers">Running</th>
              <th className="numbers">Waiting</th>
              <th className="numbers">KV cache</th>
              <th className="numbers">Adapters</th>
            </tr>
          </thead>
          <tbody>
            {engines.map((engine) => (
              <tr key={engine.name}>
                <td>{engine.name}</td>
                <td>
                  <StateBadge state={engine.state} />
                </td>
                <td className="numbers">{engine.running_requests}</td>
                <td className="numbers">{engine.waiting_requests}</td>
                <td className="numbers">{percent(engine.kv_share)}</td>
                <td className="numbers">{engine.adapters}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Paper>
  );
}
