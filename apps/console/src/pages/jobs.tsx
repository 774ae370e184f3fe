import { Code } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { JobQueueResource, JobResource } from '#contracts/jobs-api.js';
import type { List } from '#contracts/resource.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Group, Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { Choice } from '../parts/fields';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';

const STATES: readonly JobResource['state'][] = ['active', 'waiting', 'delayed', 'failed', 'completed'];

export function Jobs() {
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { queue?: string; state?: string };
  const queues = useQuery({
    queryKey: ['queues'],
    queryFn: ({ signal }) => call<List<JobQueueResource>>('/v1/admin/jobs', { signal }),
    refetchInterval: 5_000,
  });
  const queue = search.queue ?? queues.data?.data[0]?.id;
  const set = (change: Record<string, string | undefined>): void =>
    void navigate({ to: '.', search: (before) => ({ ...before, ...change }) as never });
  const counts = queues.data?.data.find(({ id }) => id === queue)?.counts;
  return (
    <Page title="Jobs" about="Background work: validating uploads, fetching imports, sending webhooks.">
      <Group align="flex-end">
        <Choice
          label="Queue"
          data={queues.data?.data.map(({ id }) => id) ?? []}
          value={queue ?? null}
          onChange={(value) => set({ queue: value ?? undefined })}
        />
        <Choice
          label="State"
          none="all"
          data={[...STATES]}
          value={search.state ?? null}
          onChange={(value) => set({ state: value ?? undefined })}
        />
        {counts && (
          <Text size="sm" c="dimmed" mb={8}>
            {Object.entries(counts)
              .map(([state, number]) => `${number} ${state}`)
              .join(', ')}
          </Text>
        )}
      </Group>
      {queue !== undefined && <JobList key={queue} queue={queue} state={search.state} />}
    </Page>
  );
}

function JobList({ queue, state }: { queue: string; state: string | undefined }) {
  const path = `/v1/admin/jobs/${part(queue)}`;
  const list = useList<JobResource>(path, { query: { state }, every_ms: 5_000 });
  return (
    <ListTable
      label="Jobs"
      rows={list.rows}
      error={list.error}
      retry={() => void list.refetch()}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={<Empty text="No job is in this state." />}
      columns={[
        { head: 'Job', cell: ({ id }) => <span className="mono nowrap">{id.slice(0, 36)}</span> },
        { head: 'State', cell: (row) => <StateBadge state={row.state} /> },
        {
          head: 'Progress',
          cell: ({ progress }) =>
            progress === null
              ? '–'
              : `${progress.stage}${progress.done === undefined ? '' : ` ${progress.done}${progress.total === undefined ? '' : ` / ${progress.total}`}`}`,
        },
        { head: 'Attempts', numeric: true, cell: ({ attempts }) => attempts },
        {
          head: 'Failure',
          cell: ({ failure }) => (failure === null ? '' : <Code>{failure.slice(0, 200)}</Code>),
        },
        { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
        {
          head: '',
          cell: (job) => (
            <Group gap={4} wrap="nowrap">
              {job.state === 'failed' && (
                <Confirm
                  label="Retry"
                  color="teal"
                  title="Try the job again"
                  run={() => call(`${path}/${part(job.id)}/retry`, { method: 'POST' })}
                />
              )}
              {(job.state === 'waiting' || job.state === 'delayed') && (
                <Confirm
                  label="Cancel"
                  title="Cancel the job"
                  run={() => call(`${path}/${part(job.id)}/cancel`, { method: 'POST' })}
                />
              )}
            </Group>
          ),
        },
      ]}
    />
  );
}
