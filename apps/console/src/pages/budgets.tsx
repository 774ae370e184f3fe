import { Progress } from '@mantine/core';
import { useState } from 'react';
import type { ApiKeyResource } from '#contracts/admin-api.js';
import type { BudgetResource } from '#contracts/money-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Badge, Group, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { Check, Choice, NumberField, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { money, percent } from '../parts/format';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';

interface BudgetsProps {
  /** By name. */
  readonly tenant: string;
  /** What the operator's calls carry. */
  readonly header: string | undefined;
  /** Only an operator sets budgets. */
  readonly mayChange: boolean;
}

/** What a tenant and its keys may spend, what they have, and who was told. */
export function Budgets({ tenant, header, mayChange }: BudgetsProps) {
  const path = `/v1/admin/tenants/${part(tenant)}/budgets`;
  const list = useList<BudgetResource>(mayChange ? path : '/v1/budgets', {
    every_ms: 10_000,
    ...(mayChange ? {} : { tenant: header }),
  });
  return (
    <section aria-label="Budgets">
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          Budgets
        </Title>
        {mayChange && <NewBudget path={path} tenant={tenant} />}
      </Group>
      <ListTable
        label="Budgets"
        rows={list.rows}
        error={list.error}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={<Empty text="There is no budget: nothing limits what is spent." />}
        columns={[
          {
            head: 'Of',
            cell: ({ key_id }) => (key_id === null ? 'the tenant' : `key ${key_id.slice(0, 8)}`),
          },
          { head: 'Each', cell: ({ period }) => period },
          {
            head: 'Spent',
            cell: ({ spent, amount, currency }) => (
              <>
                <Text size="sm">
                  {money(spent, currency)} of {money(amount, currency)}
                </Text>
                <Progress
                  value={Math.min(100, (100 * spent) / amount)}
                  color={spent >= amount ? 'red' : 'teal'}
                  aria-label={`${percent(spent / amount)} of the budget is spent`}
                />
              </>
            ),
          },
          {
            head: 'Alerts',
            cell: ({ alert_shares, alerts }) => (
              <Group gap={4}>
                {alert_shares.map((share) => {
                  const told = alerts.some((alert) => alert.share === share);
                  return (
                    <Badge key={share} color={told ? 'orange' : 'gray'} variant="light">
                      {percent(share)} {told ? 'reached' : ''}
                    </Badge>
                  );
                })}
              </Group>
            ),
          },
          { head: 'When spent', cell: ({ stop }) => (stop ? 'requests stop' : 'alert only') },
          { head: 'Begins anew', cell: ({ period_ends_at }) => <Time at={period_ends_at} /> },
          {
            head: '',
            cell: ({ id }) =>
              mayChange && (
                <Confirm
                  label="Delete"
                  title="Delete the budget"
                  run={() => call(`${path}/${part(id)}`, { method: 'DELETE' })}
                />
              ),
          },
        ]}
      />
    </section>
  );
}

function NewBudget({ path, tenant }: { path: string; tenant: string }) {
  const [amount, setAmount] = useState<number | string>(100);
  const [period, setPeriod] = useState<string>('month');
  const [keyId, setKeyId] = useState<string | null>(null);
  const keys = useList<ApiKeyResource>(`/v1/admin/tenants/${part(tenant)}/keys`, { limit: 200 });
  const [shares, setShares] = useState('50, 80, 100');
  const [stop, setStop] = useState(false);
  const create = async () => {
    const alert_shares = shares
      .split(',')
      .filter((share) => share.trim() !== '')
      .map((share) => Number(share) / 100);
    const key = keyId === null ? {} : { key_id: keyId };
    await call(path, {
      method: 'POST',
      body: { amount: Number(amount), period, alert_shares, stop, ...key },
    });
    return undefined;
  };
  return (
    <FormModal
      label="New budget"
      title={`New budget of ${tenant}`}
      submit="Create"
      variant="light"
      onSubmit={create}
    >
      <NumberField label="Amount" value={amount} onChange={setAmount} min={0} required data-autofocus />
      <Choice
        label="Each"
        data={['day', 'month']}
        value={period}
        onChange={(value) => setPeriod(value ?? 'month')}
      />
      <Choice
        label="Only of one key"
        none="the whole tenant"
        data={(keys.rows ?? [])
          .filter(({ revoked_at }) => revoked_at === null)
          .map(({ id, name }) => ({ value: id, label: `${name} (${id.slice(0, 8)})` }))}
        value={keyId}
        onChange={setKeyId}
      />
      <TextField
        label="Alerts at, in percent"
        description="Event budget.alert to the tenant's webhook endpoints"
        value={shares}
        onChange={(event) => setShares(event.currentTarget.value)}
      />
      <Check
        label="Refuse new requests when it is spent"
        checked={stop}
        onChange={(checked) => setStop(checked)}
      />
    </FormModal>
  );
}
