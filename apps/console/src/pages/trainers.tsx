import { useState } from 'react';
import type { CreatedTrainer, TrainerResource } from '#contracts/trainers-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Group, Stack } from '../parts/elements';
import { Empty } from '../parts/empty';
import { TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { Secret } from '../parts/secret';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';
import { RotateSecret } from './hooks';

export function Trainers() {
  const { header, readOnly } = useActing();
  const list = useList<TrainerResource>('/v1/trainers', { tenant: header });
  const [name, setName] = useState('');
  const [url, setUrl] = useState('');
  const create = async () => {
    const { secret } = await call<CreatedTrainer>('/v1/trainers', {
      method: 'POST',
      tenant: header,
      body: { name, url },
    });
    return (
      <Secret
        what="trainer’s secret"
        value={secret}
        next="Jobs are posted to it, signed with this secret; it signs its reports with the same."
      />
    );
  };
  return (
    <Stack>
      {!readOnly && (
        <Group>
          <FormModal label="New trainer" title="New trainer" submit="Register" onSubmit={create}>
            <TextField
              label="Name"
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              required
              data-autofocus
            />
            <TextField
              label="URL"
              value={url}
              onChange={(event) => setUrl(event.currentTarget.value)}
              required
            />
          </FormModal>
        </Group>
      )}
      <ListTable
        label="Trainers"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="No service takes fine-tuning jobs yet." />}
        columns={[
          { head: 'Name', cell: (row) => row.name },
          { head: 'URL', cell: (row) => row.url ?? '–' },
          { head: 'For', cell: ({ shared }) => (shared ? 'every tenant' : 'this tenant') },
          { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
          {
            head: '',
            cell: (row) =>
              !readOnly && (
                <Group gap={4} wrap="nowrap">
                  <RotateSecret path={`/v1/trainers/${part(row.name)}`} name={row.name} />
                  <Confirm
                    label="Delete"
                    title={`Delete the trainer ${row.name}`}
                    run={() => call(`/v1/trainers/${part(row.name)}`, { method: 'DELETE', tenant: header })}
                  />
                </Group>
              ),
          },
        ]}
      />
    </Stack>
  );
}
