import { useState } from 'react';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Empty } from '../parts/empty';
import { TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

interface Share {
  readonly tenant: string;
  readonly created_at: string;
}

/** Which other tenants may call the adapter, as `owner/adapter`. */
export function Shares({ adapter }: { adapter: string }) {
  const { header, name, readOnly } = useActing();
  const path = `/v1/adapters/${part(adapter)}/shares`;
  const list = useList<Share>(path, { tenant: header });
  const [tenant, setTenant] = useState('');
  const share = async () => {
    await call(`${path}/${part(tenant)}`, { method: 'PUT', tenant: header });
    setTenant('');
    return undefined;
  };
  const form = readOnly ? undefined : (
    <FormModal label="Share" title={`Share ${adapter}`} submit="Share" variant="light" onSubmit={share}>
      <TextField
        label="Tenant"
        description={`It may then call ${name}/${adapter}; * shares with every tenant.`}
        value={tenant}
        onChange={(event) => setTenant(event.currentTarget.value)}
        required
        data-autofocus
      />
    </FormModal>
  );
  return (
    <>
      {form}
      <ListTable
        label="Shares"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={(row) => row.tenant}
        empty={<Empty text="Only this tenant may call the adapter." />}
        columns={[
          { head: 'Tenant', cell: (row) => (row.tenant === '*' ? 'every tenant' : row.tenant) },
          { head: 'Since', cell: ({ created_at }) => <Time at={created_at} /> },
          {
            head: '',
            cell: (row) =>
              readOnly ? null : (
                <Confirm
                  label="End"
                  title={`Stop sharing with ${row.tenant}`}
                  run={() => call(`${path}/${part(row.tenant)}`, { method: 'DELETE', tenant: header })}
                />
              ),
          },
        ]}
      />
    </>
  );
}
