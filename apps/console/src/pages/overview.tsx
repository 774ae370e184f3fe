import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Overview as OverviewResource } from '#contracts/overview-api.js';
import { call } from '../api/client';
import { Badge, Group, Paper, SimpleGrid, Text, Title } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Figure } from '../parts/figure';
import { bytes, count, percent } from '../parts/format';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { Time } from '../parts/time';
import { HistoryCharts } from './history-charts';
import { LiveFigures } from './live-figures';

/** What an operator looks at first: does it serve, how much, what waits, what changed. */
export function Overview() {
  const { data, error, refetch } = useQuery({
    queryKey: ['overview'],
    queryFn: ({ signal }) => call<OverviewResource>('/v1/admin/overview', { signal }),
    refetchInterval: 5_000,
  });
  if (!data)
    return (
      <Page title="Overview">{error ? <ErrorNote error={error} retry={() => void refetch()} /> : null}</Page>
    );
  const { engines, checks } = data;
  return (
    <Page
      title="Overview"
      about={data.base_model ? `Base model ${data.base_model}` : 'No engine has loaded a base model yet.'}
      actions={Object.entries(checks).map(([name, state]) => (
        <Badge key={name} color={state === 'up' ? 'teal' : 'red'} variant="light">
          {name} {state}
        </Badge>
      ))}
    >
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      <LiveFigures path="/v1/admin/live" />
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Figure
          label="Waiting requests"
          value={count(engines.waiting_requests)}
          note={`${count(engines.queued_tokens)} tokens to compute`}
        />
        <Figure
          label="Running requests"
          value={count(engines.running_requests)}
          note={`${engines.ready} of ${engines.total} engines ready`}
        />
        <Figure
          label="KV cache in use"
          value={percent(engines.kv_pages === 0 ? null : 1 - engines.kv_free_pages / engines.kv_pages)}
          note={`${count(engines.kv_pages - engines.kv_free_pages)} of ${count(engines.kv_pages)} pages`}
        />
        <Figure
          label="Adapters resident"
          value={bytes(engines.adapter_bytes)}
          note={`of ${bytes(engines.adapter_limit_bytes)} on the engines`}
        />
      </SimpleGrid>
      <HistoryCharts path="/v1/admin/history" />
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Stored data={data} />
        <Changes audit={data.audit} />
      </SimpleGrid>
    </Page>
  );
}

function Stored({ data }: { data: OverviewResource }) {
  const versions = Object.entries(data.versions);
  return (
    <Paper p="md">
      <Title order={2} size="h5" mb="xs">
        Registered
      </Title>
      <Text size="sm">
        {count(data.tenants.active)} tenants
        {data.tenants.suspended > 0 && `, ${count(data.tenants.suspended)} suspended`}, {count(data.adapters)}{' '}
        adapters
      </Text>
      <Group gap="xs" mt="sm">
        {versions.map(([state, number]) => (
          <Group gap={4} key={state}>
            <StateBadge state={state} />
            <Text size="sm">{count(number)}</Text>
          </Group>
        ))}
      </Group>
      <Title order={3} size="h6" mt="md" mb={4}>
        Queues
      </Title>
      {data.queues === null ? (
        <Text size="sm" c="red">
          The queue does not answer.
        </Text>
      ) : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Queues">
          <table className="rows">
            <thead>
              <tr>
                <th>Queue</th>
                <th className="numbers">Active</th>
                <th className="numbers">Waiting</th>
                <th className="numbers">Failed</th>
              </tr>
            </thead>
            <tbody>
              {data.queues.map(({ id, counts }) => (
                <tr key={id}>
                  <td>
                    <Link to="/jobs" search={{ queue: id } as never}>
                      {id}
                    </Link>
                  </td>
                  <td className="numbers">{counts.active}</td>
                  <td className="numbers">{counts.waiting + counts.delayed}</td>
                  <td className="numbers">{counts.failed}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Paper>
  );
}

function Changes({ audit }: { audit: OverviewResource['audit'] }) {
  return (
    <Paper p="md">
      <Title order={2} size="h5" mb="xs">
        Last changes
      </Title>
      {audit.length === 0 && (
        <Text size="sm" c="dimmed">
          Nothing has been changed yet.
        </Text>
      )}
      {audit.map(({ id, action, subject, created_at }) => (
        <Group key={id} justify="space-between" wrap="nowrap" py={4} gap="sm">
          <Text size="sm" truncate>
            <b>{action}</b> {subject.id}
          </Text>
          <Text size="xs" c="dimmed" className="nowrap">
            <Time at={created_at} />
          </Text>
        </Group>
      ))}
    </Paper>
  );
}
