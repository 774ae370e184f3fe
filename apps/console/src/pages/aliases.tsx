import { useDisclosure } from '@mantine/hooks';
import { IconLock } from '@tabler/icons-react';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { AliasWithHistory, ShownAlias, VersionResource } from '#contracts/adapters-api.js';
import { address, call, part } from '../api/client';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Dialog } from '../parts/dialog';
import { Badge, Group, Paper, Stack, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { TextField } from '../parts/fields';
import { Time } from '../parts/time';
import { useActing } from '../tenant';
import { AliasEditor } from './alias-editor';
import { AliasHistory } from './alias-history';
import { LeavingVersions } from './leaving-versions';
import { PendingChanges } from './pending-changes';
import { Protection } from './protection';
import { RouteBar } from './route-bar';
import { ShadowFigures } from './shadow-figures';

/** Moves by itself, and by nobody. */
const LATEST = 'latest';

export function Aliases({ adapter }: { adapter: string }) {
  const { header, readOnly } = useActing();
  const { canary } = useCanary();
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
      <Text size="sm" c="dimmed" maw={720}>
        Callers name an alias, such as production, and you say which versions answer. “Move traffic” gives a
        new version a share of the requests first (a canary); a guard takes it back by itself when it fails.
      </Text>
      <PendingChanges adapter={adapter} />
      {!readOnly && ready.length > 0 && (
        <NewAlias
          adapter={adapter}
          versions={ready}
          canary={list.rows && movable(list.rows) === undefined ? canary : undefined}
        />
      )}
      {list.rows?.length === 0 && (
        <Empty text="No alias yet: callers get the newest ready version, which latest follows by itself." />
      )}
      {list.rows?.map((row) => (
        <AliasCard
          key={row.name}
          adapter={adapter}
          shown={row}
          versions={ready}
          canary={row.name === movable(list.rows ?? []) ? canary : undefined}
        />
      ))}
    </Stack>
  );
}

/** The alias to which a version is given that was sent here: production, or the only one that does not move by itself. */
function movable(aliases: readonly ShownAlias[]): string | undefined {
  const names = aliases.map(({ name }) => name).filter((name) => name !== LATEST);
  return names.includes('production') ? 'production' : names[0];
}

/** The version for which another page asks for a share of the traffic, and how to be done with it. */
function useCanary() {
  const navigate = useNavigate();
  const { canary } = useSearch({ strict: false }) as { canary?: string };
  const number = Number(canary);
  return {
    canary: Number.isInteger(number) && number > 0 ? number : undefined,
    done: (): void => {
      if (canary !== undefined)
        void navigate({
          to: '.',
          search: (before) => ({ ...before, canary: undefined }) as never,
          replace: true,
        });
    },
  };
}

interface NewAliasProps {
  readonly adapter: string;
  readonly versions: readonly number[];
  readonly canary: number | undefined;
}

function NewAlias({ adapter, versions, canary }: NewAliasProps) {
  const [asked, { open, close }] = useDisclosure();
  const { done } = useCanary();
  const opened = asked || canary !== undefined;
  const shut = (): void => {
    close();
    done();
  };
  return (
    <Group>
      <Button variant="light" onClick={open}>
        New alias
      </Button>
      <Dialog opened={opened} close={shut} title="New alias" wide>
        <AliasEditor adapter={adapter} versions={versions} canary={canary} done={shut} />
      </Dialog>
    </Group>
  );
}

interface AliasCardProps {
  readonly adapter: string;
  /** As the list has it, which is asked again and again. */
  readonly shown: ShownAlias;
  readonly versions: readonly number[];
  readonly canary: number | undefined;
}

function AliasCard({ adapter, shown, versions, canary }: AliasCardProps) {
  const { name: alias, revision } = shown;
  const { header, readOnly } = useActing();
  const path = `/v1/adapters/${part(adapter)}/aliases/${part(alias)}`;
  const [asked, { open, close }] = useDisclosure();
  const { done } = useCanary();
  const opened = asked || canary !== undefined;
  const shut = (): void => {
    close();
    done();
  };
  const [history, setHistory] = useState(false);
  const [emergency, setEmergency] = useState('');
  const client = useQueryClient();
  const { data, error, refetch } = useQuery({
    // Its history grows with its revision alone.
    queryKey: ['alias', header, adapter, alias, revision],
    queryFn: ({ signal }) => call<AliasWithHistory>(path, { tenant: header, signal }),
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
  if (!data) return error ? <ErrorNote error={error} /> : null;
  const isProtected = shown.protected;
  const match = { 'if-match': `"${data.revision}"` };
  const previous = data.history[1];
  return (
    <Paper p="md" component="section" aria-label={`Alias ${alias}`}>
      <Group justify="space-between" mb="sm">
        <div>
          <Group gap="xs">
            <Title order={2} size="h4">
              {alias}
            </Title>
            {isProtected && (
              <Badge variant="light" color="gray" leftSection={<IconLock size={12} />}>
                protected
              </Badge>
            )}
          </Group>
          <Text size="xs" c="dimmed">
            {alias === LATEST && data.history[0]?.action === 'automatic'
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
          {!readOnly && alias !== LATEST && (
            <>
              <Button size="compact-sm" onClick={open}>
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
                  {isProtected && (
                    <TextField
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
              <Protection path={path} alias={alias} isProtected={isProtected} done={() => void refetch()} />
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
          Guarded until <Time at={data.guard.until} as="clock" />: goes back by itself when version{' '}
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
      <LeavingVersions adapter={adapter} alias={data} />
      {data.shadow && <ShadowFigures adapter={adapter} alias={alias} />}
      {history && <AliasHistory history={data.history} />}
      <Dialog opened={opened} close={shut} title={`Move ${alias}`} wide>
        <AliasEditor
          adapter={adapter}
          versions={versions}
          alias={{ ...data, protected: isProtected }}
          canary={canary}
          done={shut}
        />
      </Dialog>
    </Paper>
  );
}
