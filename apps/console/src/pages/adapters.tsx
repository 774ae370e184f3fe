import { Badge, Button, Group, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { AdapterResource, VersionResource } from '#contracts/adapters-api.js';
import { call } from '../api/client';
import { useList } from '../api/lists';
import { Empty } from '../parts/empty';
import { FormModal } from '../parts/form-modal';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

export function Adapters() {
  return (
    <Page
      title="Adapters"
      about="Each adapter holds numbered, immutable versions; aliases such as production say which one answers."
      actions={<AdapterActions />}
    >
      <NeedsTenant>
        <Filters />
        <Found />
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
        <TextInput
          label="Name"
          description="Letters, digits, . _ and -; it is what callers write as model."
          value={adapter}
          onChange={(event) => setAdapter(event.currentTarget.value)}
          required
          data-autofocus
        />
        <TextInput
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

function Filters() {
  const navigate = useNavigate();
  const { label = '', digest = '' } = useSearch({ strict: false }) as { label?: string; digest?: string };
  const set = useDebouncedCallback((change: Record<string, string>) => {
    void navigate({ to: '.', search: (search) => ({ ...search, ...change }) as never, replace: true });
  }, 300);
  return (
    <Group align="flex-end">
      <TextInput
        label="Label"
        placeholder="team=support"
        defaultValue={label}
        onChange={(event) => set({ label: event.currentTarget.value })}
      />
      <TextInput
        label="Digest"
        placeholder="64 hex digits"
        defaultValue={digest}
        onChange={(event) => set({ digest: event.currentTarget.value })}
        w={280}
      />
    </Group>
  );
}

function Found() {
  const { digest } = useSearch({ strict: false }) as { digest?: string };
  return digest !== undefined && /^[0-9a-f]{64}$/.test(digest) ? <ByDigest digest={digest} /> : <ByLabel />;
}

function ByLabel() {
  const { header } = useActing();
  const { label } = useSearch({ strict: false }) as { label?: string };
  const list = useList<AdapterResource>('/v1/adapters', { tenant: header, query: { label } });
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
          text={label ? 'No adapter has this label.' : 'This tenant has no adapter yet.'}
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
            <Link to="/adapters/$adapter" params={{ adapter: name }}>
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
                <Badge key={key} variant="default" tt="none" size="sm">
                  {key}={value}
                </Badge>
              ))}
            </Group>
          ),
        },
        { head: 'Changed', cell: ({ updated_at }) => <Time at={updated_at} /> },
      ]}
    />
  );
}

function ByDigest({ digest }: { digest: string }) {
  const { header } = useActing();
  const list = useList<VersionResource>('/v1/versions', { tenant: header, query: { digest } });
  return (
    <ListTable
      label="Versions with this digest"
      rows={list.rows}
      error={list.error}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={<Empty text="No version of this tenant has this digest." />}
      columns={[
        {
          head: 'Version',
          cell: ({ adapter, version }) => (
            <Link to="/adapters/$adapter/versions/$version" params={{ adapter, version: String(version) }}>
              {adapter}@{version}
            </Link>
          ),
        },
        { head: 'State', cell: ({ state }) => state },
        { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
      ]}
    />
  );
}
