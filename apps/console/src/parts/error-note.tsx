import { Alert, Code } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { ApiError } from '../api/client';
import { Button } from './button';
import { Group, Text } from './elements';

/** Whatever failed, with its code and the request's id, by which the log knows it. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const known = error instanceof ApiError ? error : undefined;
  return (
    <Alert color="red" icon={<IconAlertTriangle />} title={known?.code ?? 'Something failed'} role="alert">
      <Text size="sm">{error instanceof Error ? error.message : String(error)}</Text>
      <Group gap="xs" mt={6}>
        {known?.param && (
          <Text size="xs">
            field <Code>{known.param}</Code>
          </Text>
        )}
        {known?.requestId && (
          <Text size="xs">
            request <Code>{known.requestId}</Code>
          </Text>
        )}
        {retry && (
          <Button size="compact-xs" variant="light" color="red" onClick={retry}>
            Try again
          </Button>
        )}
      </Group>
    </Alert>
  );
}
