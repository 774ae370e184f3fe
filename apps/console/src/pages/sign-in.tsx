import { Alert, Box, Center, Divider } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import type { SignInRefusal } from '#contracts/session-api.js';
import { address } from '../api/client';
import { useSession, useSignIn, useSignInMethods } from '../api/session';
import icon from '../icon.svg';
import { Button } from '../parts/button';
import { Group, Paper, Stack, Text, Title } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Check, TextField } from '../parts/fields';

const REFUSALS: Record<SignInRefusal, string> = {
  cancelled: 'Signing in was cancelled at the provider.',
  expired:
    'This sign-in took too long, or began in another browser or under another address. Begin again here.',
  no_role: 'The provider names no role for you that opens this console. Ask your operator.',
  no_tenant: 'The provider names no tenant for you. Ask your operator.',
  provider:
    'The provider could not be asked, or its answer was not valid. The operator finds the reason in the log.',
  several_tenants: 'The provider names several tenants for you, where one is expected. Ask your operator.',
  unknown_tenant: 'The provider names a tenant for you that this server does not have. Ask your operator.',
  used: 'This sign-in was used already. Begin again.',
};

/** With a key, or by a link whose secret stands behind `#`. */
export function SignIn() {
  const [key, setKey] = useState('');
  const [shown, setShown] = useState(false);
  const signIn = useSignIn();
  const navigate = useNavigate();
  const { data: session } = useSession();
  const { next, refused, request } = useSearch({ strict: false }) as Record<string, string | undefined>;
  const { data: methods } = useSignInMethods();
  const linkTried = useRef(false);
  useEffect(() => {
    document.title = 'Sign in · Lorikeet';
    const link = window.location.hash.slice(1);
    if (link === '' || linkTried.current) return;
    linkTried.current = true;
    window.history.replaceState(null, '', window.location.pathname);
    signIn.mutate({ link });
  }, [signIn]);
  useEffect(() => {
    // Only a path of the console's own: an address elsewhere is not followed.
    if (session)
      void navigate({ to: next?.startsWith('/') && !next.startsWith('//') ? next : '/', replace: true });
  }, [session, navigate, next]);
  const send = (event: FormEvent): void => {
    event.preventDefault();
    signIn.mutate({ key: key.trim() });
  };
  return (
    <Center mih="100vh" p="md" component="main">
      <Box w="100%" maw={420}>
        <Group gap="sm" mb="lg">
          <img src={icon} width={40} height={40} alt="" />
          <Title order={1} size="h2">
            Lorikeet
          </Title>
        </Group>
        <Paper p="lg">
          {refused !== undefined && (
            <Alert
              color="red"
              mb="md"
              title={REFUSALS[refused as SignInRefusal] ?? 'Signing in was refused.'}
            >
              <Text size="xs" className="mono">
                {refused} · request {request}
              </Text>
            </Alert>
          )}
          {methods?.oidc && (
            <>
              <Button component="a" href={address(methods.oidc.url, { next })} fullWidth>
                Sign in with {methods.oidc.name}
              </Button>
              <Divider label="or with a key" my="md" />
            </>
          )}
          <form onSubmit={send}>
            <Stack>
              <TextField
                label="API key"
                type={shown ? 'text' : 'password'}
                description="An operator’s key (npm start prints it), or a tenant’s key."
                value={key}
                onChange={(event) => setKey(event.currentTarget.value)}
                autoComplete="current-password"
                autoFocus={refused === undefined}
                required
              />
              <Check label="Show it" checked={shown} onChange={setShown} />
              {signIn.error && <ErrorNote error={signIn.error} />}
              <Button type="submit" loading={signIn.isPending} variant={methods?.oidc ? 'default' : 'filled'}>
                Sign in
              </Button>
              <Text size="xs" c="dimmed">
                The key becomes a session cookie that no script can read. It is not kept in the browser.
              </Text>
            </Stack>
          </form>
        </Paper>
      </Box>
    </Center>
  );
}
