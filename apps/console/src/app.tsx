import { MantineProvider } from '@mantine/core';
import { MutationCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { setNonce } from 'get-nonce';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import type { SessionResource } from '#contracts/session-api.js';
import { ApiError } from './api/client';
import { SESSION_KEY } from './api/session';
import { router } from './routes';
import { readable, theme } from './theme';

const queryClient: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What was asked wrongly stays wrong; an API that is away comes back.
      retry: (count, error) =>
        !(error instanceof ApiError && error.status >= 400 && error.status < 500) && count < 3,
      refetchOnWindowFocus: true,
    },
  },
  mutationCache: new MutationCache({ onSuccess: () => void queryClient.invalidateQueries() }),
});
// A session that ends anywhere (its key was revoked) ends here.
queryClient.getQueryCache().subscribe(({ type, query }) => {
  const { error } = query.state;
  if (type !== 'updated' || !(error instanceof ApiError) || error.status !== 401) return;
  if (query.queryKey[0] !== SESSION_KEY[0]) queryClient.setQueryData(SESSION_KEY, null);
});

/**
 * Shows the console once it is known who looks and the page has come: one rendering with all that belongs to it, instead of
 * one for each part that arrives. Where either fails, the view says so and tries again.
 */
export async function start(who: Promise<SessionResource | null>): Promise<void> {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name=nonce]')?.content ?? '';
  const root = document.getElementById('root');
  if (!root) throw new Error('the page has no #root');
  // The library that keeps the page behind a dialog from scrolling inserts a style of its own.
  setNonce(nonce);
  const known = who.then((session) => queryClient.setQueryData(SESSION_KEY, session));
  await Promise.allSettled([known, router.load()]);
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={readable}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
