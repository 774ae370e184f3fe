import { FileButton, Progress, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { type DragEvent, useRef, useState } from 'react';
import type { VersionResource } from '#contracts/adapters-api.js';
import { address, call, part } from '../api/client';
import { faultOf, isTaken, uploadVersion } from '../api/upload';
import { Button } from '../parts/button';
import { filesOfDrop } from '../parts/dropped-files';
import { Group, Paper, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { TextField } from '../parts/fields';
import { bytes, percent } from '../parts/format';
import { later } from '../parts/later';
import { NeedsTenant } from '../parts/needs-tenant';
import { NextSteps } from '../parts/next-steps';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { useActing } from '../tenant';
import { Report } from './report';

const FromVersions = later(async () => (await import('./from-versions')).FromVersions);

export function Upload() {
  return (
    <Page
      title="Upload"
      about="A PEFT folder, or what the server computes from other versions, becomes a new, immutable version. It is validated before anybody can call it."
    >
      <NeedsTenant>
        <Forms />
      </NeedsTenant>
    </Page>
  );
}

function Forms() {
  const { readOnly } = useActing();
  const navigate = useNavigate();
  const { adapter: given = '', from = 'files' } = useSearch({ strict: false }) as {
    adapter?: string;
    from?: string;
  };
  const [adapter, setAdapter] = useState(given);
  const [version, setVersion] = useState<VersionResource>();
  if (readOnly) return <Text>This view is read-only.</Text>;
  return (
    <Stack>
      <TextField
        label="Adapter"
        description={
          from === 'versions'
            ? 'Of the new version; empty: that of the version it is made from.'
            : 'It is made if there is none by this name.'
        }
        value={adapter}
        onChange={(event) => setAdapter(event.currentTarget.value)}
        maw={400}
        required={from !== 'versions'}
      />
      <Tabs
        value={from}
        onChange={(value) =>
          void navigate({ to: '.', search: (before) => ({ ...before, from: value ?? undefined }) as never })
        }
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="files">From this computer</Tabs.Tab>
          <Tabs.Tab value="import">From a URL, S3 or the Hub</Tabs.Tab>
          <Tabs.Tab value="versions">From other versions</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="files">
          <FromFiles adapter={adapter} onVersion={setVersion} />
        </Tabs.Panel>
        <Tabs.Panel value="import">
          <FromSource adapter={adapter} onVersion={setVersion} />
        </Tabs.Panel>
        <Tabs.Panel value="versions">
          <FromVersions adapter={adapter} onVersion={setVersion} />
        </Tabs.Panel>
      </Tabs>
      {version && <Validation version={version} />}
    </Stack>
  );
}

interface FormProps {
  readonly adapter: string;
  readonly onVersion: (version: VersionResource | undefined) => void;
}

function FromFiles({ adapter, onVersion }: FormProps) {
  const { header } = useActing();
  const [files, setFiles] = useState<readonly File[]>([]);
  const [over, setOver] = useState(false);
  const [share, setShare] = useState<number>();
  const [error, setError] = useState<unknown>();
  const abort = useRef<AbortController | undefined>(undefined);
  const taken = files.filter(isTaken);
  const left = files.filter((file) => !isTaken(file));
  const fault = files.length === 0 ? undefined : faultOf(files);

  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    void filesOfDrop(event.dataTransfer).then(setFiles);
  };
  const send = async (): Promise<void> => {
    const control = new AbortController();
    abort.current = control;
    setError(undefined);
    setShare(0);
    onVersion(undefined);
    try {
      onVersion(
        await uploadVersion({
          adapter,
          files: taken,
          tenant: header,
          signal: control.signal,
          onProgress: setShare,
        }),
      );
    } catch (problem) {
      if (!control.signal.aborted) setError(problem);
    } finally {
      setShare(undefined);
    }
  };
  return (
    <Stack>
      <div
        className="drop"
        data-over={over}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <Text mb="sm">Drop the adapter’s folder here, or its files</Text>
        <FileButton onChange={setFiles} multiple inputProps={{ 'aria-label': 'Files of the adapter' }}>
          {(props) => (
            <Button variant="light" {...props}>
              Choose files
            </Button>
          )}
        </FileButton>
      </div>
      {files.length > 0 && (
        <Paper p="sm">
          {taken.map(({ name, size }) => (
            <Group key={name} justify="space-between">
              <Text size="sm">{name}</Text>
              <Text size="sm" c="dimmed">
                {bytes(size)}
              </Text>
            </Group>
          ))}
          {left.length > 0 && (
            <Text size="xs" c="dimmed" mt={4}>
              Left out:{' '}
              {left
                .slice(0, 12)
                .map(({ name }) => name)
                .join(', ')}
              {left.length > 12 && ` and ${left.length - 12} more`}
            </Text>
          )}
        </Paper>
      )}
      {fault && <ErrorNote error={new Error(fault)} />}
      {share !== undefined && <Progress value={share * 100} aria-label={`Sent ${percent(share)}`} animated />}
      {error !== undefined && <ErrorNote error={error} retry={() => void send()} />}
      <Group>
        <Button
          onClick={() => void send()}
          disabled={adapter.trim() === '' || taken.length === 0 || fault !== undefined}
          loading={share !== undefined}
        >
          Upload
        </Button>
        {share !== undefined && (
          <Button variant="subtle" color="red" onClick={() => abort.current?.abort()}>
            Cancel
          </Button>
        )}
      </Group>
    </Stack>
  );
}

function FromSource({ adapter, onVersion }: FormProps) {
  const { header } = useActing();
  const [source, setSource] = useState('');
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const send = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      const path = address(`/v1/adapters/${part(adapter)}/versions`, { create: true });
      onVersion(
        await call<VersionResource>(path, {
          method: 'POST',
          tenant: header,
          body: { source: source.trim() },
        }),
      );
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Stack>
      <TextField
        label="Source"
        description="https://host/folder/, s3://bucket/prefix or hf://org/repo@revision"
        value={source}
        onChange={(event) => setSource(event.currentTarget.value)}
        maw={600}
      />
      {error !== undefined && <ErrorNote error={error} />}
      <Group>
        <Button
          onClick={() => void send()}
          loading={busy}
          disabled={adapter.trim() === '' || source.trim() === ''}
        >
          Import
        </Button>
      </Group>
    </Stack>
  );
}

/** Follows a version until it is ready or rejected. */
function Validation({ version }: { version: VersionResource }) {
  const { header } = useActing();
  const { adapter, version: number } = version;
  const path = `/v1/adapters/${part(adapter)}/versions/${number}`;
  const { data = version } = useQuery({
    queryKey: ['version', header, adapter, String(number)],
    queryFn: ({ signal }) =>
      call<VersionResource>(address(path, { include: 'report' }), { tenant: header, signal }),
    refetchInterval: ({ state }) =>
      state.data && ['ready', 'rejected'].includes(state.data.state) ? false : 700,
  });
  return (
    <Paper p="md" component="section" aria-label="Validation" aria-live="polite">
      <Group mb="sm">
        <Text fw={600}>
          <Link to="/adapters/$adapter/versions/$version" params={{ adapter, version: String(number) }}>
            {adapter}@{number}
          </Link>
        </Text>
        <StateBadge state={data.state} />
        {data.state === 'ready' && <NextSteps adapter={adapter} version={number} />}
        {data.import && data.import.bytes_total !== null && (
          <Text size="sm" c="dimmed">
            {bytes(data.import.bytes_done)} of {bytes(data.import.bytes_total)}
          </Text>
        )}
      </Group>
      {data.import?.last_error && <Text size="sm">{data.import.last_error}</Text>}
      {data.failure && <ErrorNote error={new Error(data.failure)} />}
      {data.report && <Report report={data.report} state={data.state} />}
    </Paper>
  );
}
