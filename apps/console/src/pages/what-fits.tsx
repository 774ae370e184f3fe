import { Group, NumberInput, Paper, Text, Title } from '@mantine/core';
import { useState } from 'react';
import type { EngineResource } from '#contracts/engines-api.js';
import { bytes, count } from '../parts/format';

/** What so many adapters of a size cost, against the pools of the engines, before anything is loaded. */
export function WhatFits({ engines }: { engines: readonly EngineResource[] }) {
  const known = engines.flatMap(({ adapters }) => adapters.resident).map(({ bytes: size }) => size);
  const usual = known.length === 0 ? 2 * 2 ** 20 : known.reduce((sum, size) => sum + size, 0) / known.length;
  const [size, setSize] = useState<number | string>('');
  const [number, setNumber] = useState<number | string>(100);
  const each = size === '' ? usual : Number(size) * 2 ** 20;
  const limits = engines.map(({ adapters }) => adapters.limit_bytes).filter((limit) => limit > 0);
  const smallest = limits.length === 0 ? 0 : Math.min(...limits);
  const fit = each === 0 ? 0 : Math.floor(smallest / each);
  return (
    <Paper withBorder p="md" component="section" aria-label="What fits">
      <Title order={2} size="h5" mb="xs">
        What fits
      </Title>
      <Group align="flex-end">
        <NumberInput label="Adapters" value={number} onChange={setNumber} min={1} w={140} />
        <NumberInput
          label="MiB each"
          description="empty: the mean of what is loaded"
          placeholder={(usual / 2 ** 20).toFixed(1)}
          value={size}
          onChange={setSize}
          min={0.01}
          w={220}
        />
      </Group>
      <Text mt="sm">
        {count(Number(number))} of {bytes(each)} take {bytes(Number(number) * each)}. An engine has room for{' '}
        {count(fit)} at once
        {fit < Number(number)
          ? ': the others come from the host’s memory when they are called.'
          : ': all stay on the device.'}
      </Text>
    </Paper>
  );
}
