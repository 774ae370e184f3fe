import { useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import type { LoggedRequest } from '#contracts/request-log-api.js';
import { call, part } from './client';

/** Calls `take` once with the kept request that the address names. */
export function useReplay(tenant: string | undefined, take: (request: LoggedRequest) => void): void {
  const { request: id } = useSearch({ strict: false }) as { request?: string };
  const { data } = useQuery({
    queryKey: ['request', tenant, id],
    queryFn: ({ signal }) => call<LoggedRequest>(`/v1/requests/${part(id ?? '')}`, { tenant, signal }),
    enabled: id !== undefined,
    staleTime: Infinity,
  });
  const taken = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (data === undefined || data.id !== id || taken.current === data.id) return;
    taken.current = data.id;
    take(data);
  }, [data, id, take]);
}
