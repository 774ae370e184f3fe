import { useQueryClient } from '@tanstack/react-query';
import type { OpenConsoleSession } from '#contracts/session-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Badge, Group, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';

function holder({ person, key }: OpenConsoleSession): string {
  return person?.name ?? key?.name ?? 'ADMIN_API_KEY';
}

/** Who is signed in, each of whom can be signed out. */
export function ConsoleSessions() {
  const client = useQueryClient();
  const list = useList<OpenConsoleSession>('/v1/admin/sessions', { limit: 20 });
  const end = async (id: string): Promise<void> => {
    await call(`/v1/admin/sessions/${part(id)}`, { method: 'DELETE' });
    await client.invalidateQueries();
  };
  return (
    <section aria-label="Console sessions">
      <Title order={2} size="h4" mb="sm">
        Console sessions
      </Title>
      <ListTable
        label="Console sessions"
        rows={list.rows}
        error={list.error}
        retry={() => void list.refetch()}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="Nobody is signed in to the console." />}
        columns={[
          {
            head: 'Who',
            cell: (row) => (
              <Group gap="xs" wrap="nowrap">
                {holder(row)}
                {row.person && (
                  <Badge size="xs" variant="light">
                    OIDC
                  </Badge>
                )}
              </Group>
            ),
          },
          { head: 'As', cell: ({ operator, tenant }) => (operator ? 'operator' : tenant) },
          { head: 'Looks as', cell: ({ viewed_tenant }) => viewed_tenant ?? '–' },
          { head: 'Signed in', cell: ({ created_at }) => <Time at={created_at} /> },
          { head: 'Last seen', cell: ({ last_used_at }) => <Time at={last_used_at} /> },
          { head: 'Ends', cell: ({ expires_at }) => <Time at={expires_at} /> },
          {
            head: '',
            cell: (row) => (
              <Confirm label="Sign out" title={`Sign out ${holder(row)}`} run={() => end(row.id)} />
            ),
          },
        ]}
      />
    </section>
  );
}
