import { MultiSelect } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { EngineResource, Fit } from '#contracts/engines-api.js';
import { address, call, part } from '../api/client';
import { Group, Paper, SimpleGrid, Text, Title } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Choice, NumberField } from '../parts/fields';
import { Figure } from '../parts/figure';
import { bytes, count, percent } from '../parts/format';

const ALL_LINEAR = 'all-linear';

function useFit(engine: string | undefined, query: { rank: number; modules: string; adapters: number }) {
  return useQuery({
    queryKey: ['fit', engine, query],
    queryFn: ({ signal }) =>
      call<Fit>(address(`/v1/admin/engines/${part(engine ?? '')}/fit`, query), { signal }),
    enabled: engine !== undefined && query.modules !== '' && query.rank > 0 && query.adapters > 0,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
}

/** What adapters of a shape cost on an engine in bytes and speed, before anything is loaded. */
export function WhatFits({ engines }: { engines: readonly EngineResource[] }) {
  const usable = engines.filter(({ base_model }) => base_model !== null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [rank, setRank] = useState<number | string>(16);
  const [modules, setModules] = useState<string[]>(['q_proj', 'v_proj']);
  const [number, setNumber] = useState<number | string>(100);
  const engine = usable.find(({ id }) => id === chosen)?.id ?? usable[0]?.id;
  const all = useFit(engine, { rank: 1, modules: ALL_LINEAR, adapters: 1 });
  const known = all.data?.modules ?? [];
  const wanted = known.length === 0 ? [] : modules.filter((kind) => known.includes(kind));
  const query = {
    rank: Number(rank),
    modules: known.length > 0 && wanted.length === 0 ? ALL_LINEAR : wanted.join(','),
    adapters: Number(number),
  };
  const { data, error } = useFit(engine, query);
  if (engine === undefined) return null;
  return (
    <Paper p="md" component="section" aria-label="What fits">
      <Title order={2} size="h5" mb="xs">
        What fits
      </Title>
      <Group align="flex-start" mb="md">
        {usable.length > 1 && (
          <Choice
            label="Engine"
            data={usable.map(({ id, name }) => ({ value: id, label: name ?? id }))}
            value={engine}
            onChange={setChosen}
          />
        )}
        <NumberField label="Adapters" value={number} onChange={setNumber} min={1} max={1_000_000} w={120} />
        <NumberField label="Rank" value={rank} onChange={setRank} min={1} max={4096} w={100} />
        <MultiSelect
          label="Modules"
          placeholder={wanted.length === 0 ? ALL_LINEAR : ''}
          data={known}
          value={wanted}
          onChange={setModules}
          maw={420}
          clearable
          clearButtonProps={{ 'aria-label': 'All linear modules' }}
        />
      </Group>
      {error && <ErrorNote error={error} />}
      {data && (
        <>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
            <Figure
              label="Each takes at most"
              value={bytes(data.bytes_each)}
              note={`${count(data.module_count)} modules of rank ${data.rank}`}
            />
            <Figure
              label="All take at most"
              value={bytes(data.bytes)}
              note={`the device has ${bytes(data.limit_bytes)} for adapters`}
            />
            <Figure
              label="On the device at once"
              value={count(data.fit_at_once)}
              note={
                data.beyond === 0
                  ? 'all of them stay'
                  : `${count(data.beyond)} come from host or storage when called`
              }
            />
            <Figure
              label="Speed left, estimated"
              value={percent(data.speed.all_different)}
              note={`${count(data.speed.batch)} different ones in a batch; ${percent(data.speed.one_adapter)} with one`}
            />
          </SimpleGrid>
          <Text size="xs" c="dimmed" mt="xs">
            Bytes as float32. Speed by the bytes that one step reads while answers are written, against the
            base alone; an estimate, not a measurement.
          </Text>
        </>
      )}
    </Paper>
  );
}
