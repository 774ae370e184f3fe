import { useDisclosure } from '@mantine/hooks';
import { useQueryClient } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import { Button } from './button';
import { Dialog } from './dialog';
import { Group, Stack } from './elements';
import { ErrorNote } from './error-note';

interface FormModalProps {
  readonly label: string;
  readonly title: string;
  readonly submit: string;
  readonly variant?: 'filled' | 'light' | 'subtle';
  /** The address opens it; `leave` takes that out of the address. Who sends it goes to another address. */
  readonly asked?: { readonly opened: boolean; readonly leave: () => void };
  readonly children: ReactNode;
  /** Resolves to what is shown instead of the form, e.g. a secret that is shown once; undefined closes it. */
  readonly onSubmit: () => Promise<ReactNode | undefined>;
}

/** A button that opens a form. */
export function FormModal({
  label,
  title,
  submit,
  variant = 'filled',
  asked,
  children,
  onSubmit,
}: FormModalProps) {
  const client = useQueryClient();
  const [opened, { open, close }] = useDisclosure();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [result, setResult] = useState<ReactNode>();
  const shut = (): void => {
    close();
    setResult(undefined);
    setError(undefined);
  };
  const leave = (): void => {
    shut();
    if (asked?.opened === true) asked.leave();
  };
  const send = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const shown = await onSubmit();
      void client.invalidateQueries(); // whatever is shown may have changed
      if (shown === undefined) shut();
      else setResult(shown);
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button variant={variant} onClick={open} size={variant === 'filled' ? 'sm' : 'compact-sm'}>
        {label}
      </Button>
      <Dialog opened={opened || asked?.opened === true} close={leave} title={title} wide>
        {result ?? (
          <form onSubmit={(event) => void send(event)}>
            <Stack>
              {children}
              {error !== undefined && <ErrorNote error={error} />}
              <Group justify="flex-end">
                <Button variant="default" onClick={leave}>
                  Cancel
                </Button>
                <Button type="submit" loading={busy}>
                  {submit}
                </Button>
              </Group>
            </Stack>
          </form>
        )}
      </Dialog>
    </>
  );
}
