import { useDisclosure } from '@mantine/hooks';
import { useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { Button } from './button';
import { Dialog } from './dialog';
import { Group, Stack } from './elements';
import { ErrorNote } from './error-note';
import { TextField } from './fields';

interface ConfirmProps {
  /** The button that opens the question. */
  readonly label: string;
  readonly title: string;
  readonly children?: ReactNode;
  /** What has to be typed for it; absent: one more click is enough. */
  readonly word?: string;
  readonly color?: string;
  readonly disabled?: boolean;
  readonly run: () => Promise<unknown>;
}

/** A button whose effect is asked about first. */
export function Confirm({
  label,
  title,
  children,
  word,
  color = 'red',
  disabled = false,
  run,
}: ConfirmProps) {
  const client = useQueryClient();
  const [opened, { open, close }] = useDisclosure();
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const go = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      await run();
      void client.invalidateQueries(); // whatever is shown may have changed
      close();
      setTyped('');
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button size="compact-sm" variant="light" color={color} onClick={open} disabled={disabled}>
        {label}
      </Button>
      <Dialog opened={opened} close={close} title={title}>
        <Stack>
          {children}
          {word !== undefined && (
            <TextField
              label={`Type ${word} to go on`}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              data-autofocus
            />
          )}
          {error !== undefined && <ErrorNote error={error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button color={color} loading={busy} disabled={word !== undefined && typed !== word} onClick={go}>
              {label}
            </Button>
          </Group>
        </Stack>
      </Dialog>
    </>
  );
}
