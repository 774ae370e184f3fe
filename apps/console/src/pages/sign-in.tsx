import { Box, Button, Center, Group, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useSession, useSignIn } from '../api/session';
import icon from '../icon.svg';
import { ErrorNote } from '../parts/error-note';

/** With a key, or by a link whose secret stands behind `#`. */
export function SignIn() {
  const [key, setKey] = useState('');
  const signIn = useSignIn();
  const navigate = useNavigate();
  const { data: session } = useSession();
  const { next } = useSearch({ strict: false }) as { next?: string };
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
        <Paper withBorder p="lg">
          <form onSubmit={send}>
            <Stack>
              <PasswordInput
                label="API key"
                description="An operator’s key (npm start prints it), or a tenant’s key."
                value={key}
                onChange={(event) => setKey(event.currentTarget.value)}
                autoComplete="current-password"
                autoFocus
                required
                visibilityToggleButtonProps={{ 'aria-label': 'Show the key' }}
              />
              {signIn.error && <ErrorNote error={signIn.error} />}
              <Button type="submit" loading={signIn.isPending}>
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
