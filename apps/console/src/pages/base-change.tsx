import { useQuery } from '@tanstack/react-query';
import type { Revalidation } from '#contracts/revalidation-api.js';
import { call } from '../api/client';
import { Confirm } from '../parts/confirm';
import { Paper, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';

const PATH = '/v1/admin/revalidations';

/** After another base model was loaded: how many stored versions answer on it, and the order to validate the others. */
export function BaseChange() {
  const { data, error, refetch } = useQuery({
    queryKey: ['revalidations'],
    queryFn: ({ signal }) => call<Revalidation>(PATH, { signal }),
    refetchInterval: 5_000,
  });
  const start = async (): Promise<void> => {
    await call(PATH, { method: 'POST', body: {} });
    await refetch();
  };
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (!data) return null;
  return (
    <Paper p="md">
      <Stack align="flex-start">
        <Text size="sm">
          Base model {data.base_model}: {data.ready} stored versions answer, {data.queued} are being
          validated, {data.unvalidated} were made for another base and not validated against this one,{' '}
          {data.rejected} were rejected.
        </Text>
        {data.rejections.map(({ tenant, adapter, version, error: reason, failure }) => (
          <Text size="sm" key={`${tenant}/${adapter}@${version}`}>
            {tenant}/{adapter}@{version}: {reason?.message ?? failure}
          </Text>
        ))}
        <Confirm
          label="Validate against this base"
          color="teal"
          title="Validate stored versions against this base model"
          disabled={data.unvalidated === 0}
          run={start}
        >
          <Text size="sm">One job for each; what they are on the base they were made for stays.</Text>
        </Confirm>
      </Stack>
    </Paper>
  );
}
