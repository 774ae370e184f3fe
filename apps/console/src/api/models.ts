import { useQuery } from '@tanstack/react-query';
import type { ModelList } from '#contracts/openai/model.js';
import { useActing } from '../tenant';
import { call } from './client';

/** The names that `model` takes for the acting tenant. */
export function useModels(): readonly string[] {
  const { header, name } = useActing();
  const { data } = useQuery({
    queryKey: ['models', header],
    queryFn: ({ signal }) => call<ModelList>('/v1/models?limit=1000', { tenant: header, signal }),
    enabled: name !== undefined,
  });
  return data?.data.map(({ id }) => id) ?? [];
}
