import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { ClosedSession, OpenSession, SessionResource, SignInMethods } from '#contracts/session-api.js';
import { call } from './client';
import { whoIsSignedIn } from './who';

export const SESSION_KEY = ['session'];

/** Who is signed in; null: nobody. */
export function useSession() {
  return useQuery({
    queryKey: SESSION_KEY,
    queryFn: ({ signal }) => whoIsSignedIn(signal),
    staleTime: 30_000,
    refetchInterval: 60_000,
  });
}

export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: OpenSession) => call<SessionResource>('/v1/session', { method: 'POST', body }),
    onSuccess: (session) => {
      client.clear();
      client.setQueryData(SESSION_KEY, session);
    },
  });
}

export function useSignInMethods() {
  return useQuery({
    queryKey: ['session', 'methods'],
    queryFn: ({ signal }) => call<SignInMethods>('/v1/session/methods', { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => call<ClosedSession>('/v1/session', { method: 'DELETE' }),
    onSuccess: ({ end_session_url }) => {
      if (end_session_url !== null) window.location.assign(end_session_url);
    },
    onSettled: () => {
      client.clear();
      client.setQueryData(SESSION_KEY, null);
    },
  });
}

/** Looks at the console as a tenant; null leaves that view. */
export function useViewAs() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (tenant: string | null) =>
      call<SessionResource>('/v1/session/view', { method: 'PUT', body: { tenant } }),
    onSuccess: (session) => {
      client.clear();
      client.setQueryData(SESSION_KEY, session);
    },
  });
}
