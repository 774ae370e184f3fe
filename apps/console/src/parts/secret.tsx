import { Alert } from '@mantine/core';
import { Stack, Text } from './elements';
import { Shell } from './shell';

/** A secret that the API shows this once. */
export function Secret({ what, value, next }: { what: string; value: string; next?: string }) {
  return (
    <Stack>
      <Alert color="yellow" title={`Copy the ${what} now`}>
        It is shown this once: only its hash, or an encrypted copy, is kept.
      </Alert>
      <Shell text={value} />
      {next && <Text size="sm">{next}</Text>}
    </Stack>
  );
}
