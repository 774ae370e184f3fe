import { useDebouncedCallback } from '@mantine/hooks';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { AdapterResource, VersionState } from '#contracts/adapters-api.js';
import { call } from '../api/client';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Badge, Group, SimpleGrid, Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { Choice, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

export function Adapters() {
  /** Begins the filters' fields anew. */
  const [cleared, setCleared] = useState(0);
  return (
    <Page
      title="Adapters"
      about="Each adapter holds numbered, immutable versions; aliases such as production say which one answers."
      actions={<AdapterActions />}
    >
      <NeedsTenant>
        <Filters key={cleared} />
        <Found onClear={() => setCleared(cleared + 1)} />
      </NeedsTenant>
    </Page>
  );
}

function AdapterActions() {
  const { header, name, readOnly } = useActing();
  const [adapter, setAdapter] = useState('');
  const [description, setDescription] = useState('');
  const navigate = useNavigate();
  if (name === undefined || readOnly) return null;
  const create = async () => {
    await call('/v1/adapters', {
      method: 'POST',
      tenant: header,
      body: { name: adapter, ...(description === '' ? {} : { description }) },
    });
    await navigate({ to: '/adapters/$adapter', params: { adapter } });
    return undefined;
  };
  return (
    <>
      <FormModal label="New adapter" title="New adapter" submit="Create" variant="light" onSubmit={create}>
        <TextField
          label="Name"
          description="Letters, digits, . _ and -; it is what callers write as model."
          value={adapter}
          onChange={(event) => setAdapter(event.currentTarget.value)}
          required
          data-autofocus
        />
        <TextField
          label="Description"
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
      </FormModal>
      <Button component={Link} to="/upload">
        Upload
      </Button>
    </>
  );
}

const STATES: readonly VersionState[] = ['ready', 'rejected', 'validating', 'uploaded', 'importing'];

interface AdapterFilter {
  readonly name?: string;
  readonly label?: string;
  readonly state?: string;
  readonly digest?: string;
}

function Filters() {
  const navigate = useNavigate();
  const { name = '', label = '', digest = '', state } = useSearch({ strict: false }) as AdapterFilter;
  const go = (change: AdapterFilter): void =>
    void navigate({ to: '.', search: (search) => ({ ...search, ...change }) as never, replace: true });
  const set = useDebouncedCallback(go, 300);
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }}>
      <TextField
        label="Name"
        placeholder="any part of it"
        defaultValue={name}
        onChange={(event) => set({ name: event.currentTarget.value })}
      />
      <TextField
        label="Label"
        placeholder="team=support"
        defaultValue={label}
        onChange={(event) => set({ label: event.currentTarget.value })}
      />
      <Choice
        label="State of a version"
        none="any"
        data={[...STATES]}
        value={state ?? null}
        onChange={(value) => go({ state: value ?? '' })}
      />
      <TextField
        label="Digest"
        placeholder="its first hex digits"
        defaultValue={digest}
        onChange={(event) => set({ digest: event.currentTarget.value.trim().toLowerCase() })}
      />
    </SimpleGrid>
  );
}

function Found({ onClear }: { onClear: () => void }) {
  const { header } = useActing();
  const { name, label, state, digest } = useSearch({ strict: false }) as AdapterFilter;
  const query = { name, label, state, digest };
  const list = useList<AdapterResource>('/v1/adapters', { tenant: header, query });
  if (Object.values(query).some(Boolean) && list.rows?.length === 0)
    return <Empty text="No adapter fits." action={<ClearFilters onClear={onClear} />} />;
  return (
    <ListTable
      label="Adapters"
      rows={list.rows}
      error={list.error}
      retry={() => void list.refetch()}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={
        <Empty
          text="This tenant has no adapter yet."
          command="lorikeet push ./my-adapter --as support-bot"
          action={
            <Button component={Link} to="/upload">
              Upload one
            </Button>
          }
        />
      }
      columns={[
        {
          head: 'Name',
          cell: ({ name }) => (
            <Link to="/adapters/$adapter" params={{ adapter: name }} className="nowrap">
              {name}
            </Link>
          ),
        },
        {
          head: 'Description',
          cell: ({ description }) => (
            <Text size="sm" lineClamp={1}>
              {description ?? '–'}
            </Text>
          ),
        },
        {
          head: 'Labels',
          cell: ({ labels }) => (
            <Group gap={4}>
              {Object.entries(labels).map(([key, value]) => (
                <Badge key={key} variant="default" size="sm">
                  {key}={value}
                </Badge>
              ))}
            </Group>
          ),
        },
        {
          head: 'Newest version',
          cell: ({ name: adapter, newest_version: newest }) =>
            newest === null ? (
              '–'
            ) : (
              <Group gap={6} wrap="nowrap">
                <Link
                  to="/adapters/$adapter/versions/$version"
                  params={{ adapter, version: String(newest.version) }}
                >
                  {newest.version}
                </Link>
                <StateBadge state={newest.state} />
                <Time at={newest.created_at} />
              </Group>
            ),
        },
        { head: 'Changed', cell: ({ updated_at }) => <Time at={updated_at} /> },
      ]}
    />
  );
}

function ClearFilters({ onClear }: { onClear: () => void }) {
  const navigate = useNavigate();
  const none = { name: undefined, label: undefined, state: undefined, digest: undefined };
  const clear = (): void => {
    void navigate({ to: '.', search: (search) => ({ ...search, ...none }) as never }).then(onClear);
  };
  return (
    <Button variant="light" onClick={clear}>
      Show all
    </Button>
  );
}
