import { Anchor } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Text } from '../parts/elements';
import { Page } from '../parts/page';

export function Missing() {
  return (
    <Page title="No such page">
      <Text>
        Nothing is at this address.{' '}
        <Anchor component={Link} to="/">
          Go to the start
        </Anchor>
        .
      </Text>
    </Page>
  );
}
