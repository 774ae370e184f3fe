import { useState } from 'react';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Group, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { Secret } from '../parts/secret';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';

interface Key {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly revoked_at: string | null;
  readonly expires_at: string | null;
}

/** Keys of operators beside ADMIN_API_KEY. */
export function OperatorKeys() {
  const list = useList<Key>('/v1/admin/keys');
  const [name, setName] = useState('');
  const create = async () => {
    const { key } = await call<{ key: string }>('/v1/admin/keys', { method: 'POST', body: { name } });
    return <Secret what="operator key" value={key} />;
  };
  return (
    <section aria-label="Operator keys">
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          Operator keys
        </Title>
        <FormModal
          label="New operator key"
          title="New operator key"
          submit="Create"
          variant="light"
          onSubmit={create}
        >
          <TextField
            label="For whom"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            required
            data-autofocus
          />
        </FormModal>
      </Group>
      <ListTable
        label="Operator keys"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={
          <Empty text="Only the key in ADMIN_API_KEY operates this server. Give each person one of their own." />
        }
        columns={[
          { head: 'Name', cell: (row) => row.name },
          { head: 'Begins with', cell: ({ prefix }) => <span className="mono">{prefix}…</span> },
          {
            head: 'State',
            cell: ({ revoked_at }) => <StateBadge state={revoked_at === null ? 'active' : 'revoked'} />,
          },
          { head: 'Last used', cell: ({ last_used_at }) => <Time at={last_used_at} /> },
          { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
          {
            head: '',
            cell: ({ id, name: holder, revoked_at }) =>
              revoked_at === null && (
                <Confirm
                  label="Revoke"
                  title={`Revoke the key of ${holder}`}
                  run={() => call(`/v1/admin/keys/${part(id)}`, { method: 'DELETE' })}
                />
              ),
          },
        ]}
      />
    </section>
  );
}
