import { Alert, AppShell, Box, Burger, Button, Center, Group, Loader, NavLink, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useIsFetching } from '@tanstack/react-query';
import { IconEye } from '@tabler/icons-react';
import { Link, Navigate, Outlet, useLocation, useRouterState } from '@tanstack/react-router';
import { Suspense, useEffect } from 'react';
import type { SessionResource } from '#contracts/session-api.js';
import { useSession, useViewAs } from '../api/session';
import { ErrorNote } from '../parts/error-note';
import icon from '../icon.svg';
import { AccountMenu } from './account-menu';
import { Palette } from './palette';
import { placesFor } from './places';
import { TenantPicker } from './tenant-picker';

const waiting = (
  <Center h="60vh" aria-busy>
    <Loader aria-label="Loading" />
  </Center>
);

/** Whoever is not signed in sees the sign-in page, and comes back to where they wanted. */
export function Layout() {
  const { data: session, error, refetch } = useSession();
  const { pathname, searchStr } = useLocation();
  if (pathname === '/sign-in') {
    return (
      <Suspense fallback={waiting}>
        <Outlet />
      </Suspense>
    );
  }
  if (session === undefined) {
    return error ? (
      <Center h="60vh">
        <ErrorNote error={error} retry={() => void refetch()} />
      </Center>
    ) : (
      waiting
    );
  }
  if (session === null)
    return <Navigate to="/sign-in" search={{ next: `${pathname}${searchStr}` }} replace />;
  return <Shell session={session} />;
}

function Shell({ session }: { session: SessionResource }) {
  const [opened, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  useEffect(close, [pathname]);
  const places = placesFor(session);
  const isOpen = (to: string): boolean => (to === '/' ? pathname === '/' : pathname.startsWith(to));
  const links = (group: string) =>
    places
      .filter((place) => place.group === group)
      .map(({ to, label, icon: Icon }) => (
        <NavLink
          key={to}
          component={Link}
          to={to}
          label={label}
          leftSection={<Icon size={18} />}
          active={isOpen(to)}
          {...(isOpen(to) ? { 'aria-current': 'page' as const } : {})}
        />
      ));
  const run = links('run');
  const shown = useRouterState({
    select: ({ resolvedLocation }) =>
      resolvedLocation && resolvedLocation.pathname + resolvedLocation.searchStr,
  });
  const busy = useIsFetching({ predicate: ({ state }) => state.status === 'pending' }) > 0;
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 220, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding="lg"
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Menu" />
            <img src={icon} width={26} height={26} alt="" />
            <Text fw={700} visibleFrom="xs">
              Lorikeet
            </Text>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <Palette session={session} />
            <TenantPicker session={session} />
            <AccountMenu session={session} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" component="nav" aria-label="Pages">
        {links('serve')}
        {run.length > 0 && (
          <Text size="xs" c="dimmed" fw={600} px="sm" pt="md" pb={4}>
            Operate
          </Text>
        )}
        {run}
      </AppShell.Navbar>
      <AppShell.Main aria-busy={busy} data-address={shown}>
        {session.viewing && <ViewBanner tenant={session.tenant?.name ?? ''} />}
        <Box maw={1280} mx="auto">
          <Suspense fallback={waiting}>
            <Outlet />
          </Suspense>
        </Box>
      </AppShell.Main>
    </AppShell>
  );
}

function ViewBanner({ tenant }: { tenant: string }) {
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
