import { Kbd, Modal, NavLink, ScrollArea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { type KeyboardEvent, useMemo, useState } from 'react';
import type { AdapterResource } from '#contracts/adapters-api.js';
import type { SessionResource } from '#contracts/session-api.js';
import { useList } from '../api/lists';
import { Text } from '../parts/elements';
import { useActing } from '../tenant';
import { placesFor } from './places';

interface Command {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly run: () => void;
}

interface PaletteProps {
  readonly session: SessionResource;
  readonly opened: boolean;
  readonly close: () => void;
}

/** Any page and any adapter by a few letters. */
export function Palette({ session, opened, close }: PaletteProps) {
  return (
    <Modal opened={opened} onClose={close} withCloseButton={false} padding="xs" title="Go to">
      {opened && <Search session={session} close={close} />}
    </Modal>
  );
}

function Search({ session, close }: { session: SessionResource; close: () => void }) {
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const commands = useCommands(session, text, close);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setChosen((at) => Math.max(0, Math.min(commands.length - 1, at + step)));
    } else if (event.key === 'Enter') commands[chosen]?.run();
  };
  return (
    <>
      <TextInput
        data-autofocus
        aria-label="Page or adapter"
        placeholder="Page or adapter"
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setChosen(0);
        }}
        onKeyDown={onKeyDown}
        leftSection={<IconSearch size={16} />}
        rightSection={<Kbd size="xs">↵</Kbd>}
      />
      <ScrollArea.Autosize mah={360} mt="xs">
        {commands.map(({ id, label, hint, run }, index) => (
          <NavLink
            key={id}
            component="button"
            label={label}
            rightSection={
              <Text size="xs" c="dimmed">
                {hint}
              </Text>
            }
            active={index === chosen}
            onClick={run}
          />
        ))}
        {commands.length === 0 && (
          <Text c="dimmed" size="sm" p="sm">
            Nothing by that name.
          </Text>
        )}
      </ScrollArea.Autosize>
    </>
  );
}

function useCommands(session: SessionResource, text: string, close: () => void): Command[] {
  const navigate = useNavigate();
  const { header, name } = useActing();
  const [asked] = useDebouncedValue(text.trim(), 200);
  const { rows = [] } = useList<AdapterResource>('/v1/adapters', {
    tenant: header,
    query: { name: asked },
    limit: 20,
    enabled: name !== undefined && session.scopes.includes('adapters'),
  });
  return useMemo(() => {
    const go = (open: () => Promise<void>) => () => {
      close();
      void open();
    };
    const all: Command[] = [
      ...placesFor(session).map(({ to, label }) => ({
        id: to,
        label,
        hint: 'page',
        run: go(() => navigate({ to })),
      })),
      ...rows.map(({ name: adapter }) => ({
        id: `adapter ${adapter}`,
        label: adapter,
        hint: 'adapter',
        run: go(() => navigate({ to: '/adapters/$adapter', params: { adapter } })),
      })),
    ];
    const wanted = text.trim().toLowerCase();
    return all.filter(({ label }) => label.toLowerCase().includes(wanted)).slice(0, 30);
  }, [session, rows, text, close, navigate]);
}
