import { Paper, Title } from '@mantine/core';
import type { ComponentProps } from 'react';
import { Chart } from './chart';

/** A chart under its title. */
export function ChartPanel({ title, ...chart }: { title: string } & ComponentProps<typeof Chart>) {
  return (
    <Paper withBorder p="md">
      <Title order={2} size="h5" mb="xs">
        {title}
      </Title>
      <Chart {...chart} />
    </Paper>
  );
}
