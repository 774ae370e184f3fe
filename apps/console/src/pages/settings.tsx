import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import type { EngineResource } from '#contracts/engines-api.js';
import type { SettingResource } from '#contracts/settings-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Badge, Group, Paper, Stack, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { TextField } from '../parts/fields';
import { Page } from '../parts/page';
import { ListTable } from '../parts/table';

export function Settings() {
  return (
    <Page
      title="Settings"
      about="What the API was started with. They are environment variables: change them where the server is started, then start it again."
    >
      <Variables />
      <DangerZone />
    </Page>
  );
}

/** Written for Markdown, shown as text. */
const plain = (text: string): string => text.replaceAll('`', '');

function Variables() {
  const navigate = useNavigate();
  const { find = '' } = useSearch({ strict: false }) as { find?: string };
  const list = useList<SettingResource>('/v1/admin/settings');
  const wanted = find.trim().toLowerCase();
  const rows = list.rows
    ?.filter(({ name, summary }) => `${name} ${summary}`.toLowerCase().includes(wanted))
    .toSorted((a, b) => Number(b.changed) - Number(a.changed));
  return (
    <Stack gap="sm">
      <TextField
        label="Find"
        placeholder="retention"
        maw={320}
        value={find}
        onChange={(event) => {
          const value = event.currentTarget.value;
          void navigate({
            to: '.',
            search: (before) => ({ ...before, find: value === '' ? undefined : value }) as never,
            replace: true,
          });
        }}
      />
      <ListTable
        label="Settings"
        rows={rows}
        error={list.error}
        retry={() => void list.refetch()}
        keyOf={({ name }) => name}
        empty={<Empty text="No setting has this in its name or meaning." />}
        columns={[
          {
            head: 'Variable',
            cell: ({ name, changed }) => (
              <Group gap={6} wrap="nowrap">
                <span className="mono">{name}</span>
                {changed && (
                  <Badge size="xs" variant="light">
                    set
                  </Badge>
                )}
              </Group>
            ),
          },
          {
            head: 'Value',
            cell: ({ value, secret }) =>
              secret ? (
                <Text c="dimmed" size="sm">
                  secret
                </Text>
              ) : (
                <span className="mono">{value ?? '–'}</span>
              ),
          },
          { head: 'Default', cell: (row) => <Text size="sm">{plain(row.default)}</Text> },
          {
            head: 'Meaning',
            cell: ({ summary }) => (
              <Text size="sm" miw={260}>
                {plain(summary)}
              </Text>
            ),
          },
        ]}
      />
    </Stack>
  );
}

/** What hits everybody at once, each asked about first. */
function DangerZone() {
  const engines = useList<EngineResource>('/v1/admin/engines', { limit: 100 });
  const ready = (engines.rows ?? []).filter(({ state }) => state === 'ready');
  const drainAll = async (): Promise<void> => {
    for (const { id } of ready) await call(`/v1/admin/engines/${part(id)}/drain`, { method: 'POST' });
  };
  return (
    <Paper p="md" component="section" aria-label="Danger zone" className="danger">
      <Title order={2} size="h4" mb="sm">
        Danger zone
      </Title>
      <Stack gap="md">
        <Danger
          what="Maintenance"
          effect="Inference and changes answer 503 with your message until you end it."
          action={
            <Button component={Link} to="/maintenance" size="compact-sm" variant="light" color="red">
              Begin or end it
            </Button>
          }
        />
        <Danger
          what="Drain every engine"
          effect="Running answers end, and no engine takes a new request; each is taken back on the page Engines."
          action={
            <Confirm
              label="Drain all"
              title="Drain every engine"
              word="drain"
              disabled={ready.length === 0}
              run={drainAll}
            >
              <Text size="sm">{ready.length} ready engines stop taking requests.</Text>
            </Confirm>
          }
        />
        <Danger
          what="Sign everybody out"
          effect="Every console session ends, yours too. Keys go on."
          action={
            <Confirm
              label="Sign out all"
              title="Sign everybody out"
              word="everybody"
              run={() => call('/v1/admin/sessions', { method: 'DELETE' })}
            />
          }
        />
      </Stack>
    </Paper>
  );
}

function Danger({ what, effect, action }: { what: string; effect: string; action: React.ReactNode }) {
  return (
    <Group justify="space-between" wrap="nowrap" align="flex-start">
      <div>
        <Text size="sm" fw={600}>
          {what}
        </Text>
        <Text size="sm" c="dimmed">
          {effect}
        </Text>
      </div>
      {action}
    </Group>
  );
}
