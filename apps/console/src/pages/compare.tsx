import { Button, Group, MultiSelect, Paper, SimpleGrid, Stack, Text, Textarea } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { NO_ANSWER, type ScoredPiece, type StreamedAnswer, streamAnswer } from '../api/chat-stream';
import { useModels } from '../api/models';
import { Answer } from '../parts/answer';
import { ErrorNote } from '../parts/error-note';
import { count, milliseconds } from '../parts/format';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { useActing } from '../tenant';

type Cell = StreamedAnswer & { readonly error?: unknown };

export function Compare() {
  return (
    <Page
      title="Compare"
      about="One set of prompts, several models side by side, greedy. Tokens that differ from the first model are marked."
    >
      <NeedsTenant>
        <Board />
      </NeedsTenant>
    </Page>
  );
}

function Board() {
  const { header, readOnly } = useActing();
  const names = useModels();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { models?: string };
  const models = search.models === undefined ? names.slice(0, 2) : search.models.split(',').filter(Boolean);
  const [prompts, setPrompts] = useState('');
  const [cells, setCells] = useState<Readonly<Record<string, Cell>>>({});
  const [running, setRunning] = useState(false);
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const lines = prompts.split('\n').filter((line) => line.trim() !== '');
  const keyOf = (line: string, model: string): string => `${model} ${line}`;

  const ask = async (line: string, model: string, signal: AbortSignal): Promise<void> => {
    let cell: Cell = NO_ANSWER;
    const show = (change: Cell): void => {
      cell = change;
      setCells((before) => ({ ...before, [keyOf(line, model)]: change }));
    };
    const messages = [{ role: 'user', content: line }];
    const body = { model, messages, temperature: 0, max_tokens: 256, logprobs: true, top_logprobs: 3 };
    try {
      await streamAnswer('/v1/chat/completions', body, { tenant: header, signal, onAnswer: show });
    } catch (error) {
      if (!signal.aborted) show({ ...cell, error });
    }
  };
  const run = async (): Promise<void> => {
    const control = new AbortController();
    abort.current = control;
    setRunning(true);
    setCells({});
    for (const line of lines) {
      if (control.signal.aborted) return;
      await Promise.all(models.map((model) => ask(line, model, control.signal)));
    }
    setRunning(false);
  };
  return (
    <Stack>
      <MultiSelect
        label="Models"
        data={[...new Set([...models, ...names])]}
        value={[...models]}
        onChange={(value) =>
          void navigate({
            to: '.',
            search: (before) => ({ ...before, models: value.join(',') }) as never,
            replace: true,
          })
        }
        searchable
      />
      <Textarea
        label="Prompts, one a line"
        autosize
        minRows={3}
        maxRows={12}
        value={prompts}
        onChange={(event) => setPrompts(event.currentTarget.value)}
      />
      <Group>
        <Button
          onClick={() => void run()}
          loading={running}
          disabled={lines.length === 0 || models.length === 0 || readOnly}
        >
          Compare
        </Button>
      </Group>
      {lines.map((line) => (
        <div key={line}>
          <Text fw={600} mb={4}>
            {line}
          </Text>
          <SimpleGrid cols={{ base: 1, sm: Math.min(models.length, 4) || 1 }}>
            {models.map((model) => (
              <CellView
                key={model}
                model={model}
                cell={cells[keyOf(line, model)]}
                first={model === models[0] ? undefined : cells[keyOf(line, models[0] ?? '')]}
              />
            ))}
          </SimpleGrid>
        </div>
      ))}
    </Stack>
  );
}

function CellView({
  model,
  cell,
  first,
}: {
  model: string;
  cell: Cell | undefined;
  first: Cell | undefined;
}) {
  if (!cell) return null;
  const differs = first?.scored.length ? firstDifference(cell.scored, first.scored) : undefined;
  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" mb={4}>
        <Text size="sm" fw={600}>
          {model}
        </Text>
        <Text size="xs" c="dimmed">
          {count(cell.usage?.completion_tokens)} tokens, first {milliseconds(cell.ttft_ms)}, all{' '}
          {milliseconds(cell.total_ms)}
        </Text>
      </Group>
      {cell.error !== undefined && <ErrorNote error={cell.error} />}
      <Answer
        text={cell.text}
        scored={cell.scored}
        {...(differs === undefined ? {} : { differsFrom: differs })}
      />
      {first && cell.total_ms !== undefined && differs === undefined && (
        <Text size="xs" c="dimmed" mt={4}>
          The same tokens as the first model.
        </Text>
      )}
    </Paper>
  );
}

/** The first position at which the two do not hold the same token. */
function firstDifference(a: readonly ScoredPiece[], b: readonly ScoredPiece[]): number | undefined {
  const length = Math.max(a.length, b.length);
  for (let index = 0; index < length; index++) if (a[index]?.token !== b[index]?.token) return index;
  return undefined;
}
