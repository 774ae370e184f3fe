import { Box } from '@mantine/core';
import { type ComponentProps, lazy, Suspense } from 'react';
import { Paper, Title } from './elements';

// The chart library comes when a page has something to draw: no page waits for it.
const Chart = lazy(async () => ({ default: (await import('./chart')).Chart }));

/** A chart under its title. */
export function ChartPanel({ title, ...chart }: { title: string } & ComponentProps<typeof Chart>) {
  return (
    <Paper p="md">
      <Title order={2} size="h5" mb="xs">
        {title}
      </Title>
      <Suspense fallback={<Box h={chart.height ?? 200} aria-busy />}>
        <Chart {...chart} />
      </Suspense>
    </Paper>
  );
}
