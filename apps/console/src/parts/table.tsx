import { Center, Loader } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { Button } from './button';
import { Paper } from './elements';
import { ErrorNote } from './error-note';

export interface Column<T> {
  readonly head: string;
  readonly cell: (row: T) => ReactNode;
  readonly numeric?: boolean;
}

interface ListTableProps<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[] | undefined;
  readonly keyOf: (row: T) => string;
  readonly empty: ReactNode;
  readonly error?: unknown;
  readonly retry?: () => void;
  readonly more?: { readonly has: boolean; readonly loading: boolean; readonly load: () => void };
}

/** A browser is slow with more than a few hundred rows; nobody reads them. */
const ROWS_AT_ONCE = 100;

/** A list as a table that scrolls sideways where the window is narrow, a part of it at a time. */
export function ListTable<T>({ label, columns, rows, keyOf, empty, error, retry, more }: ListTableProps<T>) {
  const [most, setMost] = useState(ROWS_AT_ONCE);
  if (error && !rows) return <ErrorNote error={error} {...(retry ? { retry } : {})} />;
  if (!rows) {
    return (
      <Center p="xl" aria-busy>
        <Loader aria-label="Loading" />
      </Center>
    );
  }
  if (rows.length === 0) return <>{empty}</>;
  return (
    <Paper>
      <div className="scroll-x" tabIndex={0} role="region" aria-label={label}>
        <table className="rows wide">
          <thead>
            <tr>
              {columns.map(({ head, numeric }) => (
                <th key={head} {...(numeric ? { className: 'numbers' } : {})}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map((row) => (
              <tr key={keyOf(row)}>
                {columns.map(({ head, cell, numeric }) => (
                  <td key={head} {...(numeric ? { className: 'numbers' } : {})}>
                    {cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {(more?.has === true || rows.length > most) && (
        <Center p="sm">
          <Button
            variant="subtle"
            size="compact-sm"
            loading={more?.loading ?? false}
            onClick={() => {
              setMost(most + ROWS_AT_ONCE);
              if (rows.length <= most) more?.load();
            }}
          >
            Show more
          </Button>
        </Center>
      )}
    </Paper>
  );
}

/** What a list's hook gives, as the table takes it. */
export function moreOf(list: {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}): NonNullable<ListTableProps<unknown>['more']> {
  return { has: list.hasNextPage, loading: list.isFetchingNextPage, load: () => void list.fetchNextPage() };
}
