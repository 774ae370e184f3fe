import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { LoggedRequest, RequestLogResource } from '#contracts/request-log-api.js';
import { call, part } from '../api/client';
import { useLiveList } from '../api/live';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Dialog } from '../parts/dialog';
import { Badge, Group, Paper, Stack, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { Check, NumberField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { count, milliseconds } from '../parts/format';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { type Column, ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

export function Requests() {
  return (
    <Page title="Requests" about="What callers asked lately, where the tenant wants that kept.">
      <NeedsTenant>
        <Kept />
      </NeedsTenant>
    </Page>
  );
}

function Kept() {
  const { header, readOnly } = useActing();
  const navigate = useNavigate();
  const { tail, failed, request } = useSearch({ strict: false }) as {
    tail?: string;
    failed?: string;
    request?: string;
  };
  const settings = useQuery({
    queryKey: ['request log', header],
    queryFn: ({ signal }) => call<RequestLogResource>('/v1/request-log', { tenant: header, signal }),
  });
  const set = (change: Record<string, string | undefined>): void =>
    void navigate({ to: '.', search: (before) => ({ ...before, ...change }) as never, replace: true });
  const open = (id: string): void => set({ request: id });
  if (settings.error) return <ErrorNote error={settings.error} retry={() => void settings.refetch()} />;
  if (!settings.data) return null;
  return (
    <Stack>
      <Group justify="space-between">
        <Group>
          <State log={settings.data} />
          <Check
            role="switch"
            label="Live tail"
            checked={tail !== undefined}
            onChange={(checked) => set({ tail: checked ? 'on' : undefined })}
          />
          <Check
            role="switch"
            label="Errors only"
            checked={failed !== undefined}
            onChange={(checked) => set({ failed: checked ? 'true' : undefined })}
          />
        </Group>
        {!readOnly && (
          <Group gap="xs">
            <Change key={JSON.stringify(settings.data)} log={settings.data} header={header} />
            <Confirm
              label="Delete all"
              title="Delete all kept requests"
              run={() => call('/v1/requests', { method: 'DELETE', tenant: header })}
            />
          </Group>
        )}
      </Group>
      {tail === undefined ? (
        <Pages header={header} failed={failed} enabled={settings.data.enabled} open={open} />
      ) : (
        <Tail header={header} failed={failed} open={open} />
      )}
      {request !== undefined && (
        <Details id={request} header={header} close={() => set({ request: undefined })} />
      )}
    </Stack>
  );
}

function State({ log: { enabled, text, retention_hours } }: { log: RequestLogResource }) {
  const kept = text ? 'with prompts and answers' : 'without text';
  return (
    <Badge color={enabled ? 'teal' : 'gray'} variant="light">
      {enabled ? `kept for ${retention_hours} hours, ${kept}` : 'not kept'}
    </Badge>
  );
}

interface RowsProps {
  readonly header: string | undefined;
  readonly failed: string | undefined;
  readonly open: (id: string) => void;
}

function Pages({ header, failed, enabled, open }: RowsProps & { enabled: boolean }) {
  const list = useList<LoggedRequest>('/v1/requests', {
    tenant: header,
    query: { failed },
    every_ms: 15_000,
  });
  return (
    <ListTable
      label="Requests"
      rows={list.rows}
      error={list.error}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={
        <Empty
          text={enabled ? 'No request has come yet.' : 'Requests are not kept: “Keep requests” changes that.'}
        />
      }
      columns={columnsFor(open)}
    />
  );
}

/** The newest, as they come. */
function Tail({ header, failed, open }: RowsProps) {
  const { rows, connected } = useLiveList<LoggedRequest>('/v1/requests/live', header);
  return (
    <section aria-label="Live tail">
      <Text size="sm" c="dimmed" mb="xs">
        {connected ? 'The newest 50, as they come' : 'Connecting'}
      </Text>
      <ListTable
        label="Requests"
        rows={failed === undefined ? rows : rows?.filter(({ code }) => code !== null)}
        keyOf={({ id }) => id}
        empty={<Empty text="No request has come yet." />}
        columns={columnsFor(open)}
      />
    </section>
  );
}

function columnsFor(open: (id: string) => void): Column<LoggedRequest>[] {
  return [
    { head: 'When', cell: ({ created_at }) => <Time at={created_at} /> },
    {
      head: 'Model',
      cell: ({ id, model }) => (
        <Button variant="subtle" size="compact-sm" onClick={() => open(id)}>
          {model}
        </Button>
      ),
    },
    {
      head: 'Ended by',
      cell: ({ code, finish_reason }) =>
        code === null ? (finish_reason ?? '–') : <span className="mono">{code}</span>,
    },
    { head: 'Prompt', numeric: true, cell: (row) => count(row.prompt_tokens) },
    { head: 'Completion', numeric: true, cell: (row) => count(row.completion_tokens) },
    { head: 'Queue', numeric: true, cell: (row) => milliseconds(row.queue_ms) },
    { head: 'TTFT', numeric: true, cell: (row) => milliseconds(row.ttft_ms) },
    { head: 'TPOT', numeric: true, cell: (row) => milliseconds(row.tpot_ms) },
    { head: 'In all', numeric: true, cell: (row) => milliseconds(row.total_ms) },
  ];
}

function Change({ log, header }: { log: RequestLogResource; header: string | undefined }) {
  const [enabled, setEnabled] = useState(log.enabled);
  const [text, setText] = useState(log.text);
  const [hours, setHours] = useState<number | string>(log.retention_hours);
  const save = async () => {
    const body = { enabled, text, retention_hours: Number(hours) };
    await call('/v1/request-log', { method: 'PUT', body, tenant: header });
    return undefined;
  };
  return (
    <FormModal
      label={log.enabled ? 'Change' : 'Keep requests'}
      title="Keep requests"
      submit="Save"
      variant="light"
      onSubmit={save}
    >
      <Check
        label="Keep model, times, tokens and error of each request"
        checked={enabled}
        onChange={(checked) => setEnabled(checked)}
      />
      <Check
        label="Keep prompts and answers too"
        description="Without it, those that were kept are erased."
        checked={text}
        onChange={(checked) => setText(checked)}
      />
      <NumberField label="Hours" value={hours} onChange={setHours} min={1} max={2160} required />
    </FormModal>
  );
}

function Details({ id, header, close }: { id: string; header: string | undefined; close: () => void }) {
  const { data, error } = useQuery({
    queryKey: ['request', header, id],
    queryFn: ({ signal }) => call<LoggedRequest>(`/v1/requests/${part(id)}`, { tenant: header, signal }),
  });
  return (
    <Dialog opened close={close} title="Request" wide>
      {error && <ErrorNote error={error} />}
      {data && (
        <Stack>
          <Text size="sm">
            <b>{data.model}</b>, {data.kind}, <Time at={data.created_at} />, key{' '}
            <span className="mono">{data.key_id.slice(0, 8)}</span>, request{' '}
            <span className="mono">{data.request_id}</span>
          </Text>
          {data.input === null ? (
            <Text size="sm" c="dimmed">
              {data.text_cut ? 'The prompt was too long to be kept.' : 'No text is kept of it.'}
            </Text>
          ) : (
            <Written title="Prompt" text={promptText(data.input)} />
          )}
          {data.outputs?.map((output, index) => (
            <Written key={index} title={index === 0 ? 'Answer' : `Answer ${index + 1}`} text={output} />
          ))}
          {data.input !== null && (
            <Group>
              <Link to="/playground" search={{ request: id, model: data.model } as never}>
                Replay in the playground
              </Link>
            </Group>
          )}
        </Stack>
      )}
    </Dialog>
  );
}

function promptText(input: NonNullable<LoggedRequest['input']>): string {
  if ('messages' in input)
    return input.messages.map((message) => `${message.role}: ${String(message.content ?? '')}`).join('\n\n');
  const { suffix } = input;
  if (suffix !== undefined) return `${String(input.prompt)}▮${suffix}`;
  return typeof input.prompt === 'string' ? input.prompt : `Tokens ${input.prompt.join(' ')}`;
}

function Written({ title, text }: { title: string; text: string }) {
  return (
    <Paper p="sm">
      <Title order={3} size="h6" mb={4}>
        {title}
      </Title>
      <Text className="answer" size="sm">
        {text}
      </Text>
    </Paper>
  );
}
