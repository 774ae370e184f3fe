import type { UsageRow } from '#contracts/usage-api.js';
import { Empty } from '../parts/empty';
import { count, milliseconds, money } from '../parts/format';
import { ListTable } from '../parts/table';

const mean = (sum: number, number: number): number | null => (number === 0 ? null : sum / number);

/** Sums by one or several things; `by` names the columns in front. */
export function UsageTable({
  rows,
  by,
  currency,
}: {
  rows: readonly UsageRow[] | undefined;
  by: readonly (keyof UsageRow)[];
  currency: string;
}) {
  return (
    <ListTable
      label="Usage"
      rows={rows}
      keyOf={(row) => by.map((name) => String(row[name])).join(' ')}
      empty={<Empty text="Nothing was used in this time." />}
      columns={[
        ...by.map((name) => ({
          head: name,
          cell: (row: UsageRow) => {
            const value = row[name];
            if (value === null || value === undefined) return name === 'version' ? '–' : 'base model';
            return (
              <span title={String(value)}>{name === 'key' ? String(value).slice(0, 8) : String(value)}</span>
            );
          },
        })),
        { head: 'Requests', numeric: true, cell: (row: UsageRow) => count(row.requests) },
        { head: 'Errors', numeric: true, cell: (row: UsageRow) => count(row.errors) },
        { head: 'Prompt', numeric: true, cell: (row: UsageRow) => count(row.prompt_tokens) },
        { head: 'Cached', numeric: true, cell: (row: UsageRow) => count(row.cached_tokens) },
        { head: 'Completion', numeric: true, cell: (row: UsageRow) => count(row.completion_tokens) },
        { head: 'Cost', numeric: true, cell: (row: UsageRow) => money(row.cost, currency) },
        {
          head: 'TTFT',
          numeric: true,
          cell: (row: UsageRow) => milliseconds(mean(row.ttft_ms_sum, row.ttft_count)),
        },
        {
          head: 'TPOT',
          numeric: true,
          cell: (row: UsageRow) => milliseconds(mean(row.tpot_ms_sum, row.tpot_count)),
        },
      ]}
    />
  );
}
