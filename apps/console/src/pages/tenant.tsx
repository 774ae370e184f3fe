import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import type { ApiKeyResource, Scope, TenantResource } from '#contracts/admin-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { useViewAs } from '../api/session';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Group, Paper, SimpleGrid, Stack, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { Check, NumberField, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { Page } from '../parts/page';
import { Secret } from '../parts/secret';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';

const SCOPES: readonly Scope[] = ['inference', 'adapters', 'usage'];

const QUOTAS = [
  ['requests_per_minute', 'Requests a minute'],
  ['tokens_per_minute', 'Tokens a minute'],
  ['concurrent_requests', 'Requests at once'],
  ['adapters', 'Adapters'],
  ['stored_bytes', 'Stored bytes'],
  ['max_context', 'Tokens of one request'],
] as const;

export function TenantPage() {
  const { name } = useParams({ strict: false }) as { name: string };
  const path = `/v1/admin/tenants/${part(name)}`;
  const view = useViewAs();
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery({
    queryKey: ['tenant', name],
    queryFn: ({ signal }) => call<TenantResource>(path, { signal }),
  });
  const patch = (body: object) => call(path, { method: 'PATCH', body });
  const look = (): void => view.mutate(name, { onSuccess: () => void navigate({ to: '/' }) });
  return (
    <Page
      title={name}
      actions={
        data && (
          <>
            <StateBadge state={data.state} />
            <Button size="compact-sm" variant="light" onClick={look} loading={view.isPending}>
              View as this tenant
            </Button>
            {data.state === 'active' ? (
              <Confirm
                label="Suspend"
                title={`Suspend ${name}`}
                word={name}
                run={() => patch({ state: 'suspended' })}
              >
                <Text size="sm">All its keys get 403 at once. Nothing is deleted.</Text>
              </Confirm>
            ) : (
              <Confirm
                label="Activate"
                color="teal"
                title={`Activate ${name}`}
                run={() => patch({ state: 'active' })}
              />
            )}
          </>
        )
      }
    >
      {(error ?? view.error) && <ErrorNote error={error ?? view.error} retry={() => void refetch()} />}
      {data && <Quotas key={JSON.stringify(data.quotas)} tenant={data} save={patch} />}
      <Keys tenant={name} />
    </Page>
  );
}

function Quotas({ tenant, save }: { tenant: TenantResource; save: (body: object) => Promise<unknown> }) {
  const [values, setValues] = useState<Readonly<Record<string, number | string>>>(() =>
    Object.fromEntries(QUOTAS.map(([name]) => [name, tenant.quotas[name] ?? ''])),
  );
  const [weight, setWeight] = useState<number | string>(tenant.weight);
  const [error, setError] = useState<unknown>();
  const [saved, setSaved] = useState(false);
  const send = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setError(undefined);
    try {
      const quotas = Object.fromEntries(
        QUOTAS.map(([name]) => [name, values[name] === '' ? null : Number(values[name])]),
      );
      await save({ quotas, weight: Number(weight) });
      setSaved(true);
    } catch (fault) {
      setError(fault);
    }
  };
  return (
    <Paper p="md">
      <form onSubmit={(event) => void send(event)}>
        <Stack>
          <Title order={2} size="h4">
            Quotas
          </Title>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
            {QUOTAS.map(([name, label]) => (
              <NumberField
                key={name}
                label={label}
                placeholder="unlimited"
                value={values[name] ?? ''}
                onChange={(value) => setValues({ ...values, [name]: value })}
                min={0}
              />
            ))}
            <NumberField
              label="Weight"
              description="Share of busy engines"
              value={weight}
              onChange={setWeight}
              min={0.001}
              max={1000}
            />
          </SimpleGrid>
          {error !== undefined && <ErrorNote error={error} />}
          <Group>
            <Button type="submit">Save</Button>
            {saved && <Text size="sm">Saved. It counts for the next request.</Text>}
          </Group>
        </Stack>
      </form>
    </Paper>
  );
}

function Keys({ tenant }: { tenant: string }) {
  const path = `/v1/admin/tenants/${part(tenant)}/keys`;
  const list = useList<ApiKeyResource>(path);
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<readonly Scope[]>(SCOPES);
  const create = async () => {
    const { key } = await call<{ key: string }>(path, { method: 'POST', body: { name, scopes } });
    return <Secret what="key" value={key} />;
  };
  return (
    <section aria-label="Keys">
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          Keys
        </Title>
        <FormModal
          label="New key"
          title={`New key of ${tenant}`}
          submit="Create"
          variant="light"
          onSubmit={create}
        >
          <TextField
            label="Name"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            required
            data-autofocus
          />
          <fieldset className="checks">
            <legend>May</legend>
            {SCOPES.map((scope) => (
              <Check
                key={scope}
                label={scope}
                checked={scopes.includes(scope)}
                onChange={(on) =>
                  setScopes(SCOPES.filter((each) => (each === scope ? on : scopes.includes(each))))
                }
              />
            ))}
          </fieldset>
        </FormModal>
      </Group>
      <ListTable
        label="Keys"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="The tenant has no key, so nobody can call for it." />}
        columns={[
          { head: 'Name', cell: (row) => row.name },
          { head: 'Begins with', cell: ({ prefix }) => <span className="mono">{prefix}…</span> },
          {
            head: 'State',
            cell: ({ revoked_at }) => <StateBadge state={revoked_at === null ? 'active' : 'revoked'} />,
          },
          { head: 'May', cell: (row) => row.scopes.join(', ') },
          { head: 'Last used', cell: ({ last_used_at }) => <Time at={last_used_at} /> },
          { head: 'Expires', cell: ({ expires_at }) => <Time at={expires_at} /> },
          {
            head: '',
            cell: ({ id, name: holder, revoked_at }) =>
              revoked_at === null && (
                <Confirm
                  label="Revoke"
                  title={`Revoke the key ${holder}`}
                  run={() => call(`${path}/${part(id)}`, { method: 'DELETE' })}
                >
                  <Text size="sm">
                    Calls with it get 401 within a second, and console sessions with it end.
                  </Text>
                </Confirm>
              ),
          },
        ]}
      />
    </section>
  );
}
