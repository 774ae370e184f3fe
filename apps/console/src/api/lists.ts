import { useInfiniteQuery } from '@tanstack/react-query';
import type { List } from '#contracts/resource.js';
import { address, call } from './client';

type Query = Parameters<typeof address>[1];

export interface ListOptions {
  readonly tenant?: string | undefined;
  readonly query?: Query;
  readonly limit?: number;
  readonly enabled?: boolean;
  /** Asked again so often while it is shown. */
  readonly every_ms?: number;
}

/** A list of the API, page after page. */
export function useList<T>(
  path: string,
  { tenant, query, limit = 50, enabled = true, every_ms }: ListOptions = {},
) {
  const result = useInfiniteQuery({
    queryKey: ['list', path, tenant, query, limit],
    queryFn: ({ pageParam, signal }) =>
      call<List<T>>(address(path, { ...query, limit, after: pageParam }), { tenant, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    enabled,
    ...(every_ms === undefined ? {} : { refetchInterval: every_ms }),
  });
  return { ...result, rows: result.data?.pages.flatMap((page) => page.data) };
}
