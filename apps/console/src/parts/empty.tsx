import { Paper, Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { Shell } from './shell';

/** What to do where there is nothing yet: one sentence, one button or command. */
export function Empty({ text, action, command }: { text: string; action?: ReactNode; command?: string }) {
  return (
    <Paper withBorder p="xl">
      <Stack align="center" gap="sm">
        <Text c="dimmed" ta="center">
          {text}
        </Text>
        {command && <Shell text={command} />}
        {action}
      </Stack>
    </Paper>
  );
}
