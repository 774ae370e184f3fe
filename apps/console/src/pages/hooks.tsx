import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { EvaluationSetSummary } from '#contracts/evaluation-sets-api.js';
import type { CreatedHook, HookDelivery, HookResource } from '#contracts/hooks-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Group, Stack, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { Choice, NumberField, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { Secret } from '../parts/secret';
import { Shell } from '../parts/shell';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

export function Hooks() {
  const { header, readOnly } = useActing();
  const list = useList<HookResource>('/v1/hooks', { tenant: header });
  const navigate = useNavigate();
  const { hook: shown } = useSearch({ strict: false }) as { hook?: string };
  return (
    <Stack>
      {!readOnly && (
        <Group>
          <NewHook />
        </Group>
      )}
      <ListTable
        label="Hooks"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={
          <Empty text="No pipeline can announce adapters yet: make a hook and give its URL and secret to the pipeline." />
        }
        columns={[
          { head: 'Name', cell: ({ name }) => name },
          { head: 'Adapter', cell: ({ adapter }) => adapter ?? 'as the event says' },
          { head: 'URL', cell: ({ url }) => <Shell text={url} block={false} /> },
          { head: 'Promotes', cell: ({ promote }) => <Promotes promote={promote} /> },
          { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
          {
            head: '',
            cell: (hook) => (
              <Group gap={4} wrap="nowrap">
                <Button
                  size="compact-sm"
                  variant="light"
                  aria-expanded={shown === hook.id}
                  onClick={() =>
                    void navigate({
                      to: '.',
                      search: (before) =>
                        ({ ...before, hook: shown === hook.id ? undefined : hook.id }) as never,
                      replace: true,
                    })
                  }
                >
                  Events
                </Button>
                {!readOnly && (
                  <>
                    <RotateSecret path={`/v1/hooks/${part(hook.id)}`} name={hook.name} />
                    <Confirm
                      label="Delete"
                      title={`Delete the hook ${hook.name}`}
                      run={() => call(`/v1/hooks/${part(hook.id)}`, { method: 'DELETE', tenant: header })}
                    />
                  </>
                )}
              </Group>
            ),
          },
        ]}
      />
      {shown !== undefined && <Deliveries hook={shown} />}
    </Stack>
  );
}

function NewHook() {
  const { header } = useActing();
  const [name, setName] = useState('');
  const [adapter, setAdapter] = useState('');
  const [alias, setAlias] = useState('');
  const [set, setSet] = useState<string | null>(null);
  const [percent, setPercent] = useState<number | string>(100);
  const sets = useList<EvaluationSetSummary>('/v1/evaluation-sets', { tenant: header, limit: 200 });
  const evaluate = set === null ? {} : { evaluate: { set, min_score: Number(percent) / 100 } };
  const create = async () => {
    const { secret, url } = await call<CreatedHook>('/v1/hooks', {
      method: 'POST',
      tenant: header,
      body: {
        name,
        ...(adapter === '' ? {} : { adapter }),
        ...(alias === '' ? {} : { promote: { alias, ...evaluate } }),
      },
    });
    return <Secret what="hook’s secret" value={secret} next={`Post signed events to ${url}.`} />;
  };
  return (
    <FormModal label="New hook" title="New hook" submit="Create" onSubmit={create}>
      <TextField
        label="Name"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        required
        data-autofocus
      />
      <TextField
        label="Adapter"
        description="The only one that it may bring versions of; empty: each event names one."
        value={adapter}
        onChange={(event) => setAdapter(event.currentTarget.value)}
      />
      <TextField
        label="Promote to alias"
        description="Points it at each version that becomes ready; empty: nothing is promoted."
        placeholder="production"
        value={alias}
        onChange={(event) => setAlias(event.currentTarget.value)}
      />
      {alias !== '' && (
        <Group grow align="flex-start">
          <Choice
            label="Only by evaluation set"
            description="Made on the page Compare."
            none="none: every version"
            data={(sets.rows ?? []).map((row) => row.name)}
            value={set}
            onChange={setSet}
          />
          {set !== null && (
            <NumberField
              label="Right answers, %"
              description="At least so many."
              value={percent}
              onChange={setPercent}
              min={0}
              max={100}
            />
          )}
        </Group>
      )}
    </FormModal>
  );
}

function Promotes({ promote }: Pick<HookResource, 'promote'>) {
  if (promote === null) return 'no';
  const { alias, evaluate } = promote;
  if (!evaluate) return alias;
  const least = `${Math.round(evaluate.min_score * 100)} % right`;
  if (evaluate.set === undefined) return `${alias}, from ${least}`;
  return (
    <>
      {alias}, from {least} of{' '}
      <Link to="/compare" search={{ set: evaluate.set } as never}>
        {evaluate.set}
      </Link>
    </>
  );
}

/** A new secret, beside which the old one is taken for a day. */
export function RotateSecret({ path, name }: { path: string; name: string }) {
  const { header } = useActing();
  const rotate = async () => {
    const { secret } = await call<{ secret: string }>(`${path}/rotate`, {
      method: 'POST',
      tenant: header,
      body: {},
    });
    return <Secret what="new secret" value={secret} next="The old one is taken for another day." />;
  };
  return (
    <FormModal
      label="Rotate"
      title={`New secret for ${name}`}
      submit="Make a new secret"
      variant="subtle"
      onSubmit={rotate}
    >
      <Text size="sm">The old secret goes on being taken for a day.</Text>
    </FormModal>
  );
}

function Deliveries({ hook }: { hook: string }) {
  const { header } = useActing();
  const list = useList<HookDelivery>(`/v1/hooks/${part(hook)}/deliveries`, {
    tenant: header,
    every_ms: 5_000,
  });
  return (
    <section aria-label="Events">
      <Title order={2} size="h5" mb="xs">
        Events
      </Title>
      <ListTable
        label="Events"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="Nothing has been posted to this hook." />}
        columns={[
          { head: 'Event', cell: ({ type }) => type },
          { head: 'State', cell: ({ state }) => <StateBadge state={state} /> },
          {
            head: 'Became',
            cell: ({ adapter, version }) => (version === null ? '–' : `${adapter}@${version}`),
          },
          { head: 'Reason', cell: ({ reason }) => reason ?? '' },
          { head: 'Came', cell: ({ created_at }) => <Time at={created_at} /> },
        ]}
      />
    </section>
  );
}
