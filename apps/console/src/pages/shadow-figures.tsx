import { useQuery } from '@tanstack/react-query';
import type { ShadowReport } from '#contracts/alias-trials.js';
import { call, part } from '../api/client';
import { Text } from '../parts/elements';
import { count, milliseconds, percent } from '../parts/format';
import { useActing } from '../tenant';

/** How the candidate does that gets copies of the traffic. */
export function ShadowFigures({ adapter, alias }: { adapter: string; alias: string }) {
  const { header } = useActing();
  const { data } = useQuery({
    queryKey: ['shadow', header, adapter, alias],
    queryFn: ({ signal }) =>
      call<ShadowReport>(`/v1/adapters/${part(adapter)}/aliases/${part(alias)}/shadow`, {
        tenant: header,
        signal,
      }),
    refetchInterval: 5_000,
  });
  if (!data?.shadow) return null;
  const { requests, agreement, latency } = data;
  return (
    <Text size="sm" mt="sm">
      Shadow: version {data.shadow.version} gets {percent(data.shadow.share)} of the requests as copies.{' '}
      {count(requests.compared)} compared, {count(requests.failed)} failed, {count(requests.dropped)} dropped;
      the same answer {percent(agreement.exact_rate)}, the same tokens {percent(agreement.token_match_rate)};{' '}
      {milliseconds(latency.candidate.tpot_ms)} per token instead of {milliseconds(latency.served.tpot_ms)}.
    </Text>
  );
}
