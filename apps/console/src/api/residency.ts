import { useQuery } from '@tanstack/react-query';
import type { Residency } from '#contracts/adapters-api.js';
import type { List } from '#contracts/resource.js';
import { useActing } from '../tenant';
import { call, part } from './client';

/** Engines say once a second where versions lie and how many requests they answer. */
const EVERY_MS = 1_000;
const IN_PEACE_MS = 10_000;

/** Where the versions of an adapter lie; undefined until it is known. `closely`: something is about to change. */
export function useResidency(adapter: string, closely: boolean): readonly Residency[] | undefined {
  const { header } = useActing();
  const { data } = useQuery({
    queryKey: ['residency', header, adapter],
    queryFn: ({ signal }) =>
      call<List<Residency>>(`/v1/adapters/${part(adapter)}/residency`, { tenant: header, signal }),
    refetchInterval: closely ? EVERY_MS : IN_PEACE_MS,
  });
  return data?.data;
}
