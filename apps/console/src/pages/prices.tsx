import { useState } from 'react';
import type { PriceResource } from '#contracts/money-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Group, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { NumberField, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { money } from '../parts/format';
import { ListTable } from '../parts/table';
import { Time } from '../parts/time';

interface PricesProps {
  /** The tenant that is looked at; undefined: all. */
  readonly tenant: string | undefined;
  readonly header: string | undefined;
  readonly mayChange: boolean;
}

/** What a million tokens cost: an adapter's price goes before its tenant's, that before the default. */
export function Prices({ tenant, header, mayChange }: PricesProps) {
  const path = '/v1/admin/prices';
  const list = useList<PriceResource>(mayChange ? path : '/v1/prices', mayChange ? {} : { tenant: header });
  const rows = list.rows?.filter(
    (row) => tenant === undefined || row.tenant === null || row.tenant === tenant,
  );
  return (
    <section aria-label="Prices">
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          Prices
        </Title>
        {mayChange && <SetPrice path={path} tenant={tenant} />}
      </Group>
      <ListTable
        label="Prices"
        rows={rows}
        error={list.error}
        keyOf={({ id }) => id}
        empty={<Empty text="There is no price, so nothing costs anything." />}
        columns={[
          { head: 'Of', cell: (row) => row.adapter ?? (row.tenant === null ? 'everybody' : 'whatever else') },
          { head: 'Tenant', cell: (row) => row.tenant ?? '–' },
          { head: 'Prompt / M', numeric: true, cell: (row) => money(row.prompt_per_million, row.currency) },
          { head: 'Cached / M', numeric: true, cell: (row) => money(row.cached_per_million, row.currency) },
          {
            head: 'Completion / M',
            numeric: true,
            cell: (row) => money(row.completion_per_million, row.currency),
          },
          { head: 'Since', cell: (row) => <Time at={row.updated_at} /> },
          {
            head: '',
            cell: ({ id }) =>
              mayChange && (
                <Confirm
                  label="Delete"
                  title="Delete the price"
                  run={() => call(`${path}/${part(id)}`, { method: 'DELETE' })}
                >
                  <Text size="sm">The next wider price holds for what is used from now on.</Text>
                </Confirm>
              ),
          },
        ]}
      />
    </section>
  );
}

function SetPrice({ path, tenant }: { path: string; tenant: string | undefined }) {
  const [adapter, setAdapter] = useState('');
  const [prompt, setPrompt] = useState<number | string>(0);
  const [completion, setCompletion] = useState<number | string>(0);
  const set = async () => {
    const body = {
      ...(tenant === undefined ? {} : { tenant }),
      ...(adapter.trim() === '' ? {} : { adapter: adapter.trim() }),
      prompt_per_million: Number(prompt),
      completion_per_million: Number(completion),
    };
    await call(path, { method: 'PUT', body });
    return undefined;
  };
  return (
    <FormModal
      label="Set price"
      title={tenant === undefined ? 'Default price of all tenants' : `Price of ${tenant}`}
      submit="Set"
      variant="light"
      onSubmit={set}
    >
      {tenant !== undefined && (
        <TextField
          label="Adapter"
          placeholder="whatever has no price of its own"
          value={adapter}
          onChange={(event) => setAdapter(event.currentTarget.value)}
        />
      )}
      <NumberField label="A million prompt tokens" value={prompt} onChange={setPrompt} min={0} required />
      <NumberField
        label="A million completion tokens"
        value={completion}
        onChange={setCompletion}
        min={0}
        required
      />
      <Text size="sm" c="dimmed">
        It counts for what is used from now on.
      </Text>
    </FormModal>
  );
}
