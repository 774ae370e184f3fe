import { useInfiniteQuery } from '@tanstack/react-query';
import type { List } from '#contracts/resource.js';
import { address, call } from './client';

type Query = Parameters<typeof address>[1];

export interface ListOptions<T> {
  readonly tenant?: string | undefined;
  readonly query?: Query;
  readonly limit?: number;
  readonly enabled?: boolean;
  /** Asked again so often while it is shown; it may depend on what is shown. */
  readonly every_ms?: number | ((rows: readonly T[]) => number);
}

/** A list of the API, page after page. */
export function useList<T>(
  path: string,
  { tenant, query, limit = 50, enabled = true, every_ms }: ListOptions<T> = {},
) {
  const result = useInfiniteQuery({
    queryKey: ['list', path, tenant, query, limit],
    queryFn: ({ pageParam, signal }) =>
      call<List<T>>(address(path, { ...query, limit, after: pageParam }), { tenant, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    enabled,
    refetchInterval:
      typeof every_ms === 'function'
        ? ({ state }) => every_ms(rowsOf(state.data?.pages) ?? [])
        : (every_ms ?? false),
  });
  return { ...result, rows: rowsOf(result.data?.pages) };
}

const rowsOf = <T>(pages: readonly List<T>[] | undefined): T[] | undefined =>
  pages?.flatMap((page) => page.data);
