import { Center, Loader } from '@mantine/core';
import { Navigate, Outlet, useLocation } from '@tanstack/react-router';
import { Suspense } from 'react';
import { useSession } from '../api/session';
import { ErrorNote } from '../parts/error-note';
import { Shell } from './shell';

const waiting = (
  <Center h="60vh" aria-busy>
    <Loader aria-label="Loading" />
  </Center>
);

/** Whoever is not signed in sees the sign-in page, and comes back to where they wanted. */
export function Layout() {
  const { data: session, error, refetch } = useSession();
  const { pathname, searchStr } = useLocation();
  const page = (
    <Suspense fallback={waiting}>
      <Outlet />
    </Suspense>
  );
  if (pathname === '/sign-in') return page;
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
  return <Shell session={session}>{page}</Shell>;
}
