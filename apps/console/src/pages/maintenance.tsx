import { Alert } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { MaintenanceResource } from '#contracts/maintenance-api.js';
import { call } from '../api/client';
import { Confirm } from '../parts/confirm';
import { Paper, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { NumberField, TextField } from '../parts/fields';
import { Page } from '../parts/page';
import { Time } from '../parts/time';
import { BaseChange } from './base-change';

const PATH = '/v1/admin/maintenance';

export function Maintenance() {
  const { data, error, refetch } = useQuery({
    queryKey: ['maintenance'],
    queryFn: ({ signal }) => call<MaintenanceResource>(PATH, { signal }),
    refetchInterval: 5_000,
  });
  const [message, setMessage] = useState('The service is under maintenance.');
  const [retry, setRetry] = useState<number | string>(60);
  const put = (enabled: boolean) =>
    call(PATH, { method: 'PUT', body: { enabled, message, retry_after_s: Number(retry) } });
  return (
    <Page
      title="Maintenance"
      about="Inference and changes answer 503 with your message; reads and operators’ calls go on."
    >
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data && (
        <Alert
          color={data.enabled ? 'orange' : 'teal'}
          title={data.enabled ? 'Maintenance is on' : 'Serving normally'}
        >
          {data.enabled && <Text size="sm">Callers read: {data.message}</Text>}
          {data.changed_at !== null && (
            <Text size="sm">
              Since <Time at={data.changed_at} />
            </Text>
          )}
        </Alert>
      )}
      <Paper p="md">
        <Stack align="flex-start">
          {!data?.enabled && (
            <>
              <TextField
                label="Message to callers"
                value={message}
                onChange={(event) => setMessage(event.currentTarget.value)}
                w="100%"
                maw={560}
              />
              <NumberField
                label="Tell them to retry after, seconds"
                value={retry}
                onChange={setRetry}
                min={1}
                max={86_400}
              />
            </>
          )}
          {data?.enabled ? (
            <Confirm label="End maintenance" color="teal" title="Serve again" run={() => put(false)} />
          ) : (
            <Confirm
              label="Begin maintenance"
              color="orange"
              title="Begin maintenance"
              word="maintenance"
              run={() => put(true)}
            >
              <Text size="sm">Every tenant’s requests get 503 until you end it.</Text>
            </Confirm>
          )}
        </Stack>
      </Paper>
      <BaseChange />
    </Page>
  );
}
