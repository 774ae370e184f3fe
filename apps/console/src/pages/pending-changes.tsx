import { useQueryClient } from '@tanstack/react-query';
import type { PendingChange } from '#contracts/pending-changes-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { useSession } from '../api/session';
import { Author } from '../parts/author';
import { Confirm } from '../parts/confirm';
import { Badge, Group, Paper, Stack, Text, Title } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Time } from '../parts/time';
import { useActing } from '../tenant';
import { RouteBar } from './route-bar';

const PATH = '/v1/pending-changes';
const WORDS = {
  set: 'Move traffic',
  rollback: 'Roll back',
  delete: 'Delete the alias',
  unprotect: 'End the protection',
} as const;

/** Changes of an adapter's protected aliases that wait for a second person; nothing where none waits. */
export function PendingChanges({ adapter }: { adapter: string }) {
  const { header } = useActing();
  const list = useList<PendingChange>(PATH, {
    tenant: header,
    query: { state: 'pending', adapter },
    limit: 100,
    every_ms: 10_000,
  });
  if (list.error && !list.rows) return <ErrorNote error={list.error} />;
  if (!list.rows || list.rows.length === 0) return null;
  return (
    <Paper p="md" component="section" aria-label="Changes that wait">
      <Title order={2} size="h4" mb="sm">
        Waiting for a second person
      </Title>
      <Stack>
        {list.rows.map((change) => (
          <Waiting key={change.id} change={change} />
        ))}
      </Stack>
    </Paper>
  );
}

function Waiting({ change }: { change: PendingChange }) {
  const { header, readOnly } = useActing();
  const { data: session } = useSession();
  const client = useQueryClient();
  const own = session?.key_id === change.requested_by.id;
  const decide = async (decision: 'approve' | 'decline'): Promise<void> => {
    try {
      const path = `${PATH}/${part(change.id)}/decision`;
      await call(path, { method: 'POST', tenant: header, body: { decision } });
    } finally {
      await client.invalidateQueries();
    }
  };
  return (
    <div>
      <Group justify="space-between" mb={4}>
        <Group gap="xs">
          <Badge variant="light">{change.alias}</Badge>
          <Text size="sm">{WORDS[change.action]}</Text>
          <Text size="xs" c="dimmed">
            asked for by <Author actor={change.requested_by} />, <Time at={change.created_at} />
            {change.expires_at !== null && (
              <>
                ; expires <Time at={change.expires_at} />
              </>
            )}
          </Text>
        </Group>
        {!readOnly && (
          <Group gap="xs">
            {own ? (
              <Text size="xs" c="dimmed">
                Somebody else has to approve it.
              </Text>
            ) : (
              <Confirm
                label="Approve"
                color="green"
                title={`Approve: ${WORDS[change.action]} (${change.alias})`}
                run={() => decide('approve')}
              >
                <Text size="sm">It takes effect at once.</Text>
              </Confirm>
            )}
            <Confirm
              label="Decline"
              title={`Decline: ${WORDS[change.action]} (${change.alias})`}
              run={() => decide('decline')}
            />
          </Group>
        )}
      </Group>
      {change.routes.length > 0 && <RouteBar routes={change.routes} />}
    </div>
  );
}
