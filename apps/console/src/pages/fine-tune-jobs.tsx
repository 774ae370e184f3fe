import { Progress } from '@mantine/core';
import type { FineTuningJob } from '#contracts/openai/fine-tuning.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

export function FineTuneJobs() {
  const { header, readOnly } = useActing();
  const list = useList<FineTuningJob>('/v1/fine_tuning/jobs', { tenant: header, limit: 50, every_ms: 5_000 });
  return (
    <ListTable
      label="Fine-tuning jobs"
      rows={list.rows}
      error={list.error}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={<Empty text="No job has been handed to a trainer: POST /v1/fine_tuning/jobs, as with OpenAI." />}
      columns={[
        { head: 'Job', cell: ({ id }) => <span className="mono">{id}</span> },
        { head: 'Adapter', cell: ({ adapter, fine_tuned_model }) => fine_tuned_model ?? adapter },
        { head: 'Trainer', cell: ({ trainer }) => trainer },
        { head: 'Status', cell: ({ status }) => <StateBadge state={status} /> },
        {
          head: 'Progress',
          cell: ({ id, progress }) =>
            progress === null ? (
              '–'
            ) : (
              <Progress value={progress * 100} w={100} aria-label={`Progress of ${id}`} />
            ),
        },
        {
          head: 'Metrics',
          cell: ({ metrics, error }) => (
            <Text size="xs">
              {error?.message ??
                Object.entries(metrics ?? {})
                  .slice(0, 4)
                  .map(([name, value]) => `${name} ${String(value)}`)
                  .join(', ')}
            </Text>
          ),
        },
        { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
        {
          head: '',
          cell: ({ id, status }) =>
            !readOnly &&
            (status === 'queued' || status === 'running') && (
              <Confirm
                label="Cancel"
                title={`Cancel ${id}`}
                run={() =>
                  call(`/v1/fine_tuning/jobs/${part(id)}/cancel`, { method: 'POST', tenant: header })
                }
              />
            ),
        },
      ]}
    />
  );
}
