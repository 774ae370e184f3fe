import { MultiSelect } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { DomainEventType } from '#contracts/domain-events.js';
import type {
  CreatedWebhookEndpoint,
  WebhookDeliveryResource,
  WebhookEndpointResource,
} from '#contracts/webhook-endpoints-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Group, Stack, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { Secret } from '../parts/secret';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';
import { RotateSecret } from './hooks';

const EVENTS: readonly ('*' | DomainEventType)[] = [
  '*',
  'adapter.version.ready',
  'adapter.version.rejected',
  'adapter.version.revalidated',
  'adapter.alias.changed',
  'adapter.alias.change_requested',
  'adapter.alias.change_decided',
  'fine_tuning.job.succeeded',
  'fine_tuning.job.failed',
  'fine_tuning.job.cancelled',
  'budget.alert',
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
];

const PATH = '/v1/webhook-endpoints';

/** Who is told of what happens to the tenant's adapters. */
export function Endpoints() {
  const { header, readOnly } = useActing();
  const list = useList<WebhookEndpointResource>(PATH, { tenant: header });
  const navigate = useNavigate();
  const { endpoint: shown } = useSearch({ strict: false }) as { endpoint?: string };
  return (
    <Stack>
      {!readOnly && (
        <Group>
          <NewEndpoint />
        </Group>
      )}
      <ListTable
        label="Webhook endpoints"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="Nobody is told when a version is ready or an alias moves." />}
        columns={[
          { head: 'URL', cell: ({ url }) => url },
          { head: 'Events', cell: ({ events }) => events.join(', ') },
          {
            head: 'State',
            cell: ({ enabled, disabled_reason, failing_since }) => (
              <StateBadge
                state={
                  enabled ? (failing_since === null ? 'active' : 'failed') : (disabled_reason ?? 'disabled')
                }
              />
            ),
          },
          { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
          {
            head: '',
            cell: ({ id, url }) => (
              <Group gap={4} wrap="nowrap">
                <Button
                  size="compact-sm"
                  variant="light"
                  aria-expanded={shown === id}
                  onClick={() =>
                    void navigate({
                      to: '.',
                      search: (before) => ({ ...before, endpoint: shown === id ? undefined : id }) as never,
                      replace: true,
                    })
                  }
                >
                  Deliveries
                </Button>
                {!readOnly && (
                  <>
                    <RotateSecret path={`${PATH}/${part(id)}`} name={url} />
                    <Confirm
                      label="Delete"
                      title={`Delete ${url}`}
                      run={() => call(`${PATH}/${part(id)}`, { method: 'DELETE', tenant: header })}
                    />
                  </>
                )}
              </Group>
            ),
          },
        ]}
      />
      {shown !== undefined && <Deliveries endpoint={shown} />}
    </Stack>
  );
}

function NewEndpoint() {
  const { header } = useActing();
  const [url, setUrl] = useState('');
  const [events, setEvents] = useState<string[]>(['*']);
  const create = async () => {
    const { secret } = await call<CreatedWebhookEndpoint>(PATH, {
      method: 'POST',
      tenant: header,
      body: { url, events },
    });
    return <Secret what="endpoint’s secret" value={secret} next="Check each delivery’s signature with it." />;
  };
  return (
    <FormModal label="New endpoint" title="New webhook endpoint" submit="Create" onSubmit={create}>
      <TextField
        label="URL"
        value={url}
        onChange={(event) => setUrl(event.currentTarget.value)}
        required
        data-autofocus
      />
      <MultiSelect label="Events" data={[...EVENTS]} value={events} onChange={setEvents} />
    </FormModal>
  );
}

function Deliveries({ endpoint }: { endpoint: string }) {
  const { header, readOnly } = useActing();
  const path = `${PATH}/${part(endpoint)}/deliveries`;
  const list = useList<WebhookDeliveryResource>(path, { tenant: header, every_ms: 5_000 });
  return (
    <section aria-label="Deliveries">
      <Title order={2} size="h5" mb="xs">
        Deliveries
      </Title>
      <ListTable
        label="Deliveries"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="Nothing has been sent yet." />}
        columns={[
          { head: 'Event', cell: ({ type }) => type },
          { head: 'State', cell: ({ state }) => <StateBadge state={state} /> },
          { head: 'Attempts', numeric: true, cell: ({ attempts }) => attempts },
          { head: 'Last answer', cell: ({ last_status, last_error }) => last_error ?? last_status ?? '–' },
          { head: 'Next', cell: ({ next_attempt_at }) => <Time at={next_attempt_at} /> },
          { head: 'Made', cell: ({ created_at }) => <Time at={created_at} /> },
          {
            head: '',
            cell: ({ id }) =>
              !readOnly && (
                <Confirm
                  label="Send again"
                  color="blue"
                  title="Send the event again"
                  run={() => call(`${path}/${part(id)}/replay`, { method: 'POST', tenant: header })}
                />
              ),
          },
        ]}
      />
    </section>
  );
}
