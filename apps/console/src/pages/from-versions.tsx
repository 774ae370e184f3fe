import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { VersionResource } from '#contracts/adapters-api.js';
import { address, call, part } from '../api/client';
import { versionOf } from '../api/versions';
import { Button } from '../parts/button';
import { Group, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { TextField } from '../parts/fields';
import { Segments } from '../parts/segments';
import { useActing } from '../tenant';
import { ComposeFields, ConvertFields, ShrinkFields } from './derive-fields';
import { deriveBody, firstInput, NO_DERIVATION, type Operation, type DeriveForm } from './derive-form';

const OPERATIONS: readonly { value: Operation; label: string; about: string }[] = [
  { value: 'compose', label: 'Compose', about: 'One version from several, as PEFT’s add_weighted_adapter.' },
  { value: 'shrink', label: 'Shrink', about: 'A lower rank by singular values; the loss is stated.' },
  { value: 'convert', label: 'Convert', about: 'The same in another form: MLX-LM, GGUF, PEFT, int8.' },
];

interface FromVersionsProps {
  /** Of the new version; empty: that of the version it is made from. */
  readonly adapter: string;
  readonly onVersion: (version: VersionResource | undefined) => void;
}

/** Versions that the server computes from versions that are here. */
export function FromVersions({ adapter, onVersion }: FromVersionsProps) {
  const { header } = useActing();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { operation?: string; of?: string };
  const { value: operation, about } = OPERATIONS.find(({ value }) => value === search.operation) ??
    OPERATIONS[0] ?? { value: 'compose' as const, about: '' };
  const [form, setForm] = useState<DeriveForm>(() => ({
    ...NO_DERIVATION,
    ...(search.of === undefined ? {} : { version: search.of, inputs: [{ version: search.of, weight: 1 }] }),
  }));
  const [description, setDescription] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const target = adapter.trim() || versionOf(firstInput(operation, form))?.adapter;
  const send = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    onVersion(undefined);
    try {
      const path = address(`/v1/adapters/${part(target ?? '')}/versions`, { create: true });
      const derive = deriveBody(operation, form);
      const body = { derive, ...(description === '' ? {} : { description }) };
      onVersion(await call<VersionResource>(path, { method: 'POST', tenant: header, body }));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const Fields = FIELDS[operation];
  return (
    <Stack maw={720}>
      <Group>
        <Segments
          aria-label="What to make"
          data={OPERATIONS.map(({ value, label }) => ({ value, label }))}
          value={operation}
          onChange={(value) =>
            void navigate({
              to: '.',
              search: (before) => ({ ...before, operation: value }) as never,
              replace: true,
            })
          }
        />
        <Text size="sm" c="dimmed">
          {about}
        </Text>
      </Group>
      <Fields form={form} change={(part) => setForm((before) => ({ ...before, ...part }))} />
      <TextField
        label="Description"
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      {error !== undefined && <ErrorNote error={error} />}
      <Group>
        <Button onClick={() => void send()} loading={busy} disabled={target === undefined}>
          Make the version
        </Button>
        {target !== undefined && (
          <Text size="sm" c="dimmed">
            A new version of {target}
          </Text>
        )}
      </Group>
    </Stack>
  );
}

const FIELDS = { compose: ComposeFields, shrink: ShrinkFields, convert: ConvertFields } as const;
