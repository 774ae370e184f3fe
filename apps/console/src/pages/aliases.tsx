import { Badge, Button, Group, Modal, Paper, Stack, Text, TextInput, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconLock } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { AliasWithHistory, ShownAlias, VersionResource } from '#contracts/adapters-api.js';
import { address, call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { useActing } from '../tenant';
import { AliasEditor } from './alias-editor';
import { AliasHistory } from './alias-history';
import { PendingChanges } from './pending-changes';
import { Protection } from './protection';
import { RouteBar } from './route-bar';
import { ShadowFigures } from './shadow-figures';

export function Aliases({ adapter }: { adapter: string }) {
  const { header, readOnly } = useActing();
  const path = `/v1/adapters/${part(adapter)}`;
  const list = useList<ShownAlias>(`${path}/aliases`, { tenant: header, limit: 100, every_ms: 5_000 });
  const versions = useList<VersionResource>(`${path}/versions`, {
    tenant: header,
    query: { state: 'ready' },
    limit: 200,
  });
  const ready = (versions.rows ?? []).map(({ version }) => version);
  if (list.error && !list.rows) return <ErrorNote error={list.error} />;
  return (
    <Stack>
      <PendingChanges adapter={adapter} />
      {!readOnly && ready.length > 0 && <NewAlias adapter={adapter} versions={ready} />}
      {list.rows?.length === 0 && (
        <Empty text="No alias yet: callers get the newest ready version, which latest follows by itself." />
      )}
      {list.rows?.map(({ name }) => (
        <AliasCard key={name} adapter={adapter} alias={name} versions={ready} />
      ))}
    </Stack>
  );
}

function NewAlias({ adapter, versions }: { adapter: string; versions: readonly number[] }) {
  const [opened, { open, close }] = useDisclosure();
  return (
    <Group>
      <Button variant="light" onClick={open}>
        New alias
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title="New alias"
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <AliasEditor adapter={adapter} versions={versions} done={close} />
      </Modal>
    </Group>
  );
}

function AliasCard({
  adapter,
  alias,
  versions,
}: {
  adapter: string;
  alias: string;
  versions: readonly number[];
}) {
  const { header, readOnly } = useActing();
  const path = `/v1/adapters/${part(adapter)}/aliases/${part(alias)}`;
  const [opened, { open, close }] = useDisclosure();
  const [history, setHistory] = useState(false);
  const [emergency, setEmergency] = useState('');
  const client = useQueryClient();
  const { data, error, refetch } = useQuery({
    queryKey: ['alias', header, adapter, alias],
    queryFn: ({ signal }) => call<AliasWithHistory>(path, { tenant: header, signal }),
    refetchInterval: 5_000,
  });
  if (!data) return error ? <ErrorNote error={error} /> : null;
  const match = { 'if-match': `"${data.revision}"` };
  const previous = data.history[1];
  return (
    <Paper withBorder p="md" component="section" aria-label={`Alias ${alias}`}>
      <Group justify="space-between" mb="sm">
        <div>
          <Group gap="xs">
            <Title order={2} size="h4">
              {alias}
            </Title>
            {data.protected && (
              <Badge variant="light" color="gray" tt="none" leftSection={<IconLock size={12} />}>
                protected
              </Badge>
            )}
          </Group>
          <Text size="xs" c="dimmed">
            {alias === 'latest' && data.history[0]?.action === 'automatic'
              ? 'Follows the newest ready version by itself.'
              : `Revision ${data.revision}`}
          </Text>
        </div>
        <Group gap="xs">
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => setHistory(!history)}
            aria-expanded={history}
          >
            History
          </Button>
          {!readOnly && (
            <>
              <Button size="compact-sm" variant="light" onClick={open}>
                Move traffic
              </Button>
              {previous && (
                <Confirm
                  label="Roll back"
                  color="orange"
                  title={`Roll ${alias} back`}
                  run={async () => {
                    const url = address(`${path}/rollback`, { emergency: emergency.trim() });
                    await call(url, { method: 'POST', tenant: header, headers: match });
                    await Promise.all([refetch(), client.invalidateQueries({ queryKey: ['list'] })]);
                  }}
                >
                  {data.protected && (
                    <TextInput
                      label="Emergency"
                      description="Why it must go back at once. Without a reason it waits until somebody else approves it."
                      value={emergency}
                      onChange={(event) => setEmergency(event.currentTarget.value)}
                    />
                  )}
                  <Text size="sm">
                    New requests go to{' '}
                    <b>{previous.routes.map(({ version }) => `version ${version}`).join(' and ')}</b> at once;
                    answers that are being written end on the version that they began with.
                  </Text>
                </Confirm>
              )}
              {alias !== 'latest' && (
                <Protection
                  path={path}
                  alias={alias}
                  isProtected={data.protected}
                  done={() => void refetch()}
                />
              )}
              <Confirm
                label="Delete"
                title={`Delete the alias ${alias}`}
                word={alias}
                run={() => call(path, { method: 'DELETE', tenant: header, headers: match })}
              />
            </>
          )}
        </Group>
      </Group>
      <RouteBar routes={data.routes} />
      {data.guard && (
        <Text size="sm" mt="sm">
          Guarded until {new Date(data.guard.until).toLocaleTimeString()}: goes back by itself when version{' '}
          {data.guard.versions.join(', ')} breaks{' '}
          {[
            data.guard.max_error_rate !== undefined && `${data.guard.max_error_rate * 100} % errors`,
            data.guard.max_tpot_ms !== undefined && `${data.guard.max_tpot_ms} ms per token`,
          ]
            .filter(Boolean)
            .join(' or ')}
          , after {data.guard.min_requests} requests.
        </Text>
      )}
      {data.shadow && <ShadowFigures adapter={adapter} alias={alias} />}
      {history && <AliasHistory history={data.history} />}
      <Modal
        opened={opened}
        onClose={close}
        title={`Move ${alias}`}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <AliasEditor adapter={adapter} versions={versions} alias={data} done={close} />
      </Modal>
    </Paper>
  );
}
