import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import type { TenantResource } from '#contracts/admin-api.js';
import { call } from '../api/client';
import { useList } from '../api/lists';
import { Empty } from '../parts/empty';
import { TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { bytes, count } from '../parts/format';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { ConsoleSessions } from './console-sessions';
import { OperatorKeys } from './operator-keys';

const limit = (value: number | null): string => (value === null ? '∞' : count(value));

export function Tenants() {
  const list = useList<TenantResource>('/v1/admin/tenants');
  return (
    <Page
      title="Tenants and keys"
      about="A tenant is an isolated customer with adapters, keys, quotas and usage of its own."
      actions={<NewTenant />}
    >
      <ListTable
        label="Tenants"
        rows={list.rows}
        error={list.error}
        retry={() => void list.refetch()}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="No tenant yet." command="lorikeet tenants create acme" />}
        columns={[
          {
            head: 'Name',
            cell: ({ name }) => (
              <Link to="/tenants/$name" params={{ name }}>
                {name}
              </Link>
            ),
          },
          { head: 'State', cell: ({ state }) => <StateBadge state={state} /> },
          { head: 'Weight', numeric: true, cell: ({ weight }) => weight },
          { head: 'Requests / min', numeric: true, cell: ({ quotas }) => limit(quotas.requests_per_minute) },
          { head: 'Tokens / min', numeric: true, cell: ({ quotas }) => limit(quotas.tokens_per_minute) },
          { head: 'At once', numeric: true, cell: ({ quotas }) => limit(quotas.concurrent_requests) },
          { head: 'Adapters', numeric: true, cell: ({ quotas }) => limit(quotas.adapters) },
          {
            head: 'Stored',
            numeric: true,
            cell: ({ quotas }) => (quotas.stored_bytes === null ? '∞' : bytes(quotas.stored_bytes)),
          },
          { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
        ]}
      />
      <OperatorKeys />
      <ConsoleSessions />
    </Page>
  );
}

function NewTenant() {
  const [name, setName] = useState('');
  const navigate = useNavigate();
  const create = async () => {
    await call('/v1/admin/tenants', { method: 'POST', body: { name } });
    await navigate({ to: '/tenants/$name', params: { name } });
    return undefined;
  };
  return (
    <FormModal label="New tenant" title="New tenant" submit="Create" onSubmit={create}>
      <TextField
        label="Name"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        required
        data-autofocus
      />
    </FormModal>
  );
}
