import { useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { UsageList, UsageRow } from '#contracts/usage-api.js';
import { address, call, request } from '../api/client';
import { Button } from '../parts/button';
import { Group, SimpleGrid } from '../parts/elements';
import { saveFile } from '../parts/save-file';
import { useSession } from '../api/session';
import { ChartPanel } from '../parts/chart-panel';
import { ErrorNote } from '../parts/error-note';
import { count } from '../parts/format';
import { later } from '../parts/later';
import { Page } from '../parts/page';
import { Segments } from '../parts/segments';
import { useActing } from '../tenant';
import { HistoryCharts } from './history-charts';
import { UsageTable } from './usage-table';

const Budgets = later(async () => (await import('./budgets')).Budgets);
const Prices = later(async () => (await import('./prices')).Prices);

const GROUPS = {
  adapter: 'adapter',
  version: 'adapter,version',
  key: 'key',
  day: 'day',
  matrix: 'key,adapter,version',
  tenant: 'tenant',
} as const;

/** Metered requests and tokens: of the tenant, or, for an operator who has chosen none, of all. */
export function Usage() {
  const { data: session } = useSession();
  const { header, name } = useActing();
  const navigate = useNavigate();
  const { days = '30', by = 'adapter' } = useSearch({ strict: false }) as {
    days?: string;
    by?: keyof typeof GROUPS;
  };
  const mayChange = session?.operator === true && !session.viewing;
  const all = session?.operator === true && !session.viewing && name === undefined;
  const path = all ? '/v1/admin/usage' : '/v1/usage';
  const query = (group_by: string) => ({
    group_by,
    from: new Date(Math.floor(Date.now() / 60_000) * 60_000 - Number(days) * 86_400_000).toISOString(),
  });
  const table = useQuery({
    queryKey: ['usage', path, header, days, by],
    queryFn: ({ signal }) => call<UsageList>(address(path, query(GROUPS[by])), { tenant: header, signal }),
    refetchInterval: 30_000,
  });
  const unit = Number(days) <= 2 ? 'hour' : 'day';
  const course = useQuery({
    queryKey: ['usage', path, header, days, unit],
    queryFn: ({ signal }) => call<UsageList>(address(path, query(unit)), { tenant: header, signal }),
    refetchInterval: 30_000,
  });
  const set = (change: Record<string, string>): void =>
    void navigate({ to: '.', search: (search) => ({ ...search, ...change }) as never });
  const choices = Object.keys(GROUPS).filter((group) => group !== 'tenant' || all);
  const columns = (GROUPS[by] ?? 'adapter').split(',') as (keyof UsageRow)[];
  return (
    <Page
      title="Usage and cost"
      about={all ? 'Of all tenants; choose one at the top to see it alone.' : `Of ${name ?? ''}.`}
      actions={
        <CsvButton
          path={address(path, { ...query(GROUPS[by]), format: 'csv' })}
          header={header}
          name={`usage-${name ?? 'all'}-${by}-${days}d.csv`}
        />
      }
    >
      <Group>
        <Segments
          aria-label="Time"
          data={[
            { value: '1', label: '1 day' },
            { value: '7', label: '7 days' },
            { value: '30', label: '30 days' },
            { value: '90', label: '90 days' },
          ]}
          value={days}
          onChange={(value) => set({ days: value })}
        />
        <Segments aria-label="By" data={choices} value={by} onChange={(value) => set({ by: value })} />
      </Group>
      <Course
        rows={course.data?.data}
        unit={unit}
        days={Number(days)}
        currency={course.data?.currency ?? ''}
      />
      {table.error ? (
        <ErrorNote error={table.error} retry={() => void table.refetch()} />
      ) : (
        <UsageTable rows={table.data?.data} by={columns} currency={table.data?.currency ?? ''} />
      )}
      {name !== undefined && <Budgets tenant={name} header={header} mayChange={mayChange} />}
      <Prices tenant={name} header={header} mayChange={mayChange} />
      <HistoryCharts path={all ? '/v1/admin/history' : '/v1/history'} tenant={header} />
    </Page>
  );
}

/** A link could not say for which tenant an operator asks. */
function CsvButton({ path, header, name }: { path: string; header: string | undefined; name: string }) {
  const save = useMutation({
    mutationFn: async () => (await request(path, { tenant: header })).blob(),
    onSuccess: (file) => saveFile(file, name),
  });
  return (
    <>
      {save.error && <ErrorNote error={save.error} />}
      <Button variant="light" loading={save.isPending} onClick={() => save.mutate()}>
        CSV
      </Button>
    </>
  );
}

interface CourseProps {
  readonly rows: readonly UsageRow[] | undefined;
  readonly unit: 'hour' | 'day';
  readonly days: number;
  readonly currency: string;
}

function Course({ rows, unit, days, currency }: CourseProps) {
  const now_s = Date.now() / 1000;
  const sorted = [...(rows ?? [])].sort((a, b) => ((a[unit] ?? '') < (b[unit] ?? '') ? -1 : 1));
  const shown = {
    times: sorted.map((row) => Date.parse(row[unit] ?? '') / 1000),
    range: [now_s - days * 86_400, now_s] as const,
  };
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <ChartPanel
        {...shown}
        title={`Tokens by the ${unit}`}
        label={`Tokens by the ${unit}`}
        format={count}
        series={[
          { label: 'prompt', color: '#4dabf7', values: sorted.map(({ prompt_tokens }) => prompt_tokens) },
          { label: 'completion', color: '#7950f2', values: sorted.map((row) => row.completion_tokens) },
        ]}
      />
      <ChartPanel
        {...shown}
        title={`Cost by the ${unit}, ${currency}`}
        label={`Cost by the ${unit}`}
        format={(value) => (value >= 1000 ? count(value) : value.toFixed(value < 0.1 ? 4 : 2))}
        series={[{ label: 'cost', color: '#f08c00', values: sorted.map(({ cost }) => cost) }]}
      />
    </SimpleGrid>
  );
}
