import { Alert } from '@mantine/core';
import { IconEye } from '@tabler/icons-react';
import { useViewAs } from '../api/session';
import { Button } from '../parts/button';
import { Group, Text } from '../parts/elements';

/** Over every page while an operator looks as a tenant. */
export function ViewBanner({ tenant }: { tenant: string }) {
  const view = useViewAs();
  return (
    <Alert color="yellow" icon={<IconEye />} mb="md">
      <Group justify="space-between">
        <Text size="sm">
          You look at the console as <b>{tenant}</b>. Nothing can be changed here; this view stands in the
          audit log.
        </Text>
        <Button
          size="compact-sm"
          color="yellow"
          variant="filled"
          loading={view.isPending}
          onClick={() => view.mutate(null)}
        >
          Leave
        </Button>
      </Group>
    </Alert>
  );
}
