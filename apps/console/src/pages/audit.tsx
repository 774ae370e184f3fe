import { Code, Collapse } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { AuditEntryResource } from '#contracts/audit-api.js';
import { useList } from '../api/lists';
import { Author } from '../parts/author';
import { Button } from '../parts/button';
import { Group, Paper, Stack, Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { TextField } from '../parts/fields';
import { Page } from '../parts/page';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

export function Audit() {
  const navigate = useNavigate();
  const { action, actor, subject } = useSearch({ strict: false }) as Record<string, string | undefined>;
  const { name: tenant } = useActing();
  const set = useDebouncedCallback((change: Record<string, string>) => {
    void navigate({ to: '.', search: (before) => ({ ...before, ...change }) as never, replace: true });
  }, 300);
  const list = useList<AuditEntryResource>('/v1/admin/audit', {
    query: { action, actor, subject, tenant },
    limit: 50,
  });
  return (
    <Page
      title="Audit"
      about="Every change, by whom, from where, and how it was before. Entries are never changed."
    >
      <Group align="flex-end">
        <TextField
          label="Action"
          placeholder="api_key.*"
          defaultValue={action ?? ''}
          onChange={(event) => set({ action: event.currentTarget.value })}
        />
        <TextField
          label="Actor"
          placeholder="operator, or an id"
          defaultValue={actor ?? ''}
          onChange={(event) => set({ actor: event.currentTarget.value })}
        />
        <TextField
          label="Subject"
          placeholder="id of what was changed"
          defaultValue={subject ?? ''}
          onChange={(event) => set({ subject: event.currentTarget.value })}
        />
      </Group>
      {list.error && <ErrorNote error={list.error} />}
      {list.rows?.length === 0 && <Empty text="No change fits." />}
      <Stack gap="xs">
        {list.rows?.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </Stack>
      {list.hasNextPage && (
        <Group>
          <Button variant="light" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show more
          </Button>
        </Group>
      )}
    </Page>
  );
}

function Entry({ entry }: { entry: AuditEntryResource }) {
  const [opened, setOpened] = useState(false);
  const changes = differences(entry.before, entry.after);
  return (
    <Paper p="sm">
      <Group justify="space-between">
        <Text size="sm">
          <b>{entry.action}</b> <span className="mono">{entry.subject.id}</span>
        </Text>
        <Group gap="sm">
          <Text size="xs" c="dimmed">
            <Author actor={entry.actor} />, <Time at={entry.created_at} />
          </Text>
          <Button
            size="compact-xs"
            variant="subtle"
            onClick={() => setOpened(!opened)}
            aria-expanded={opened}
          >
            {opened ? 'Less' : 'More'}
          </Button>
        </Group>
      </Group>
      <Collapse expanded={opened}>
        <Stack gap={4} mt="xs">
          {changes.map(({ name, before, after }) => (
            <Text size="xs" key={name} className="mono">
              {name}: {before !== undefined && <Code color="red.1">{before}</Code>}{' '}
              {before !== undefined && after !== undefined && '→ '}
              {after !== undefined && <Code>{after}</Code>}
            </Text>
          ))}
          <Text size="xs" c="dimmed">
            request {entry.request_id ?? '–'}, from {entry.address ?? '–'}
          </Text>
        </Stack>
      </Collapse>
    </Paper>
  );
}

type State = Record<string, unknown> | null;

/** The members that are not the same before and after. */
export function differences(
  before: State,
  after: State,
): { name: string; before?: string; after?: string }[] {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const text = (state: State, name: string): string | undefined =>
    state === null || state[name] === undefined ? undefined : JSON.stringify(state[name]);
  return names.flatMap((name) => {
    const was = text(before, name);
    const is = text(after, name);
    if (was === is) return [];
    return [
      { name, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) },
    ];
  });
}
