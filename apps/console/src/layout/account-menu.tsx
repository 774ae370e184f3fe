import { Menu, Text, useMantineColorScheme } from '@mantine/core';
import { IconLogout, IconMoon, IconSun, IconSunMoon } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { SessionResource } from '#contracts/session-api.js';
import { useSignOut } from '../api/session';
import { Outline, PERSON } from './outline';

/** Opens as it comes, which its button's first click asks for; closed again, it leaves the focus on the button. */
export function AccountMenu({ session }: { session: SessionResource }) {
  const signOut = useSignOut();
  const navigate = useNavigate();
  const [opened, setOpened] = useState(false);
  useEffect(() => setOpened(true), []);
  const { setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end" withinPortal opened={opened} onChange={setOpened}>
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
        <Menu.Item leftSection={<IconSun size={16} />} onClick={() => setColorScheme('light')}>
          Light
        </Menu.Item>
        <Menu.Item leftSection={<IconMoon size={16} />} onClick={() => setColorScheme('dark')}>
          Dark
        </Menu.Item>
        <Menu.Item leftSection={<IconSunMoon size={16} />} onClick={() => setColorScheme('auto')}>
          As the system
        </Menu.Item>
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
