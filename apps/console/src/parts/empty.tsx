import type { ReactNode } from 'react';
import { Paper, Stack, Text } from './elements';
import { Shell } from './shell';

/** What to do where there is nothing yet: one sentence, one button or command. */
export function Empty({ text, action, command }: { text: string; action?: ReactNode; command?: string }) {
  return (
    <Paper p="xl">
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
