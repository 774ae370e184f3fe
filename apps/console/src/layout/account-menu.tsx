import { Menu, useMantineColorScheme } from '@mantine/core';
import { IconLogout } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { SessionResource } from '#contracts/session-api.js';
import { useSignOut } from '../api/session';
import { Text } from '../parts/elements';
import { Outline, PERSON } from './outline';

/** Opens as it comes, which its button's first click asks for; closed again, it leaves the focus on the button. */
export function AccountMenu({ session }: { session: SessionResource }) {
  const signOut = useSignOut();
  const navigate = useNavigate();
  const [opened, setOpened] = useState(false);
  useEffect(() => setOpened(true), []);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    // The focus goes to the first item: what the library would put in front of it is no item, which a menu must not hold.
    <Menu
      position="bottom-end"
      withinPortal
      withInitialFocusPlaceholder={false}
      opened={opened}
      onChange={setOpened}
    >
      <Menu.Target>
        <button type="button" className="shell-button" aria-label="Account" autoFocus>
          <Outline d={PERSON} />
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.operator ? 'Operator' : `Tenant ${session.tenant?.name ?? ''}`}
          <Text size="xs" className="mono">
            {session.person ? session.person.name : `key ${session.key_id.slice(0, 8)}`}
          </Text>
        </Menu.Label>
        <Menu.Divider />
        <Menu.RadioGroup
          value={colorScheme}
          onChange={(scheme) => setColorScheme(scheme as typeof colorScheme)}
        >
          <Menu.RadioItem value="light">Light</Menu.RadioItem>
          <Menu.RadioItem value="dark">Dark</Menu.RadioItem>
          <Menu.RadioItem value="auto">As the system</Menu.RadioItem>
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Item component="a" href="/docs" target="_blank">
          API documentation
        </Menu.Item>
        <Menu.Item
          leftSection={<IconLogout size={16} />}
          onClick={() =>
            signOut.mutate(undefined, { onSettled: () => void navigate({ to: '/sign-in', search: {} }) })
          }
        >
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
