import { Collapse } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { NO_ANSWER, type StreamedAnswer, streamAnswer } from '../api/chat-stream';
import { useModels } from '../api/models';
import { useReplay } from '../api/replay';
import { Answer } from '../parts/answer';
import { Button } from '../parts/button';
import { Group, Paper, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Check, GrowingText, TextField } from '../parts/fields';
import { count, milliseconds } from '../parts/format';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { later } from '../parts/later';
import { NO_SAMPLING, samplingBody } from '../parts/sampling-body';
import { Segments } from '../parts/segments';
import { NO_STRUCTURE, structureBody } from '../parts/structure-body';
import { toolsBody } from '../parts/tools-body';
import { WantedCalls } from '../parts/wanted-calls';
import { useActing } from '../tenant';
import { AsCode } from './as-code';

// Comes when it is opened.
const Sampling = later(async () => (await import('../parts/sampling')).Sampling);

const Tools = later(async () => (await import('../parts/tools')).Tools);

const Structure = later(async () => (await import('../parts/structure')).StructureForm);

interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

export function Playground() {
  return (
    <Page title="Playground" about="Call the base model or any adapter as a caller does, and copy the call.">
      <NeedsTenant>
        <Board />
      </NeedsTenant>
    </Page>
  );
}

function Board() {
  const { header, readOnly } = useActing();
  const models = useModels();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { model?: string; mode?: string };
  const mode = search.mode === 'completion' ? 'completion' : 'chat';
  const model = search.model ?? models[0] ?? '';
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [system, setSystem] = useState('');
  const [input, setInput] = useState('');
  const [sampling, setSampling] = useState({ ...NO_SAMPLING });
  const [logprobs, setLogprobs] = useState(false);
  const [tools, setTools] = useState('');
  const [structure, setStructure] = useState(NO_STRUCTURE);
  const [result, setResult] = useState<StreamedAnswer>(NO_ANSWER);
  const [error, setError] = useState<unknown>();
  const [running, setRunning] = useState(false);
  const [more, { toggle }] = useDisclosure();
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);

  const set = (change: Record<string, string>): void =>
    void navigate({ to: '.', search: (before) => ({ ...before, ...change }) as never, replace: true });
  const asked: readonly Turn[] = input.trim() === '' ? turns : [...turns, { role: 'user', content: input }];
  const messages = [...(system === '' ? [] : [{ role: 'system', content: system }]), ...asked];
  const body = {
    model,
    ...(mode === 'chat' ? { messages } : { prompt: input }),
    ...samplingBody(sampling),
    ...structureBody(structure),
    ...(mode === 'chat' ? toolsBody(tools) : {}),
    ...(logprobs ? (mode === 'chat' ? { logprobs: true, top_logprobs: 5 } : { logprobs: 5 }) : {}),
  };
  useReplay(header, (request) => {
    const { input: asked } = request;
    if (asked === null) return;
    if ('prompt' in asked) {
      setInput(typeof asked.prompt === 'string' ? asked.prompt : '');
    } else {
      const said = asked.messages.map(({ role, content }) => ({ role, content: String(content ?? '') }));
      const last = said.at(-1)?.role === 'user' ? said.pop() : undefined;
      setSystem(said.find(({ role }) => role === 'system')?.content ?? '');
      setTurns(said.filter((turn): turn is Turn => turn.role === 'user' || turn.role === 'assistant'));
      setInput(last?.content ?? '');
    }
    set({ model: request.model, mode: request.kind });
  });
  const path = mode === 'chat' ? '/v1/chat/completions' : '/v1/completions';

  const send = async (): Promise<void> => {
    const control = new AbortController();
    abort.current = control;
    setError(undefined);
    setResult(NO_ANSWER);
    setRunning(true);
    try {
      const answer = await streamAnswer(path, body, {
        tenant: header,
        signal: control.signal,
        onAnswer: setResult,
      });
      if (mode === 'chat') {
        setTurns([...asked, { role: 'assistant', content: answer.text }]);
        setInput('');
      }
    } catch (fault) {
      if (!control.signal.aborted) setError(fault);
    } finally {
      setRunning(false);
    }
  };
  return (
    <Stack>
      <Group align="flex-end">
        <TextField
          label="Model"
          placeholder="adapter, adapter@3, adapter:staging"
          offers={[...models]}
          value={model}
          onChange={(event) => set({ model: event.currentTarget.value })}
          w={300}
        />
        <Segments
          aria-label="Kind of call"
          data={['chat', 'completion']}
          value={mode}
          onChange={(value) => set({ mode: value })}
        />
        <Check
          role="switch"
          label="Token probabilities"
          checked={logprobs}
          onChange={(checked) => setLogprobs(checked)}
        />
        <Button variant="subtle" onClick={toggle} aria-expanded={more}>
          {mode === 'chat' ? 'Sampling, structure and tools' : 'Sampling and structure'}
        </Button>
      </Group>
      <Collapse expanded={more}>
        {more && <Sampling value={sampling} onChange={setSampling} />}
        {more && <Structure value={structure} onChange={setStructure} />}
        {more && mode === 'chat' && <Tools value={tools} onChange={setTools} />}
      </Collapse>
      {mode === 'chat' && (
        <GrowingText
          label="System"
          minRows={1}
          maxRows={6}
          value={system}
          onChange={(event) => setSystem(event.currentTarget.value)}
        />
      )}
      {mode === 'chat' &&
        turns.map(({ role, content }, index) => (
          <Paper p="sm" key={index}>
            <Text size="xs" c="dimmed" fw={600}>
              {role}
            </Text>
            {index === turns.length - 1 && role === 'assistant' ? (
              <Answer text={content} scored={result.scored} />
            ) : (
              <Text className="answer">{content}</Text>
            )}
          </Paper>
        ))}
      <GrowingText
        label={mode === 'chat' ? 'Message' : 'Prompt'}
        description="Ctrl Enter sends"
        minRows={3}
        maxRows={16}
        value={input}
        onChange={(event) => setInput(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !running) void send();
        }}
      />
      <Group>
        {running ? (
          <Button color="red" variant="light" onClick={() => abort.current?.abort()}>
            Stop
          </Button>
        ) : (
          <Button onClick={() => void send()} disabled={model === '' || asked.length === 0 || readOnly}>
            Send
          </Button>
        )}
        {turns.length > 0 && (
          <Button variant="subtle" onClick={() => setTurns([])}>
            New conversation
          </Button>
        )}
        {readOnly && <Text size="sm">This view is read-only.</Text>}
      </Group>
      {error !== undefined && <ErrorNote error={error} retry={() => void send()} />}
      {(running || mode === 'completion' || result.total_ms === undefined) && result.text !== '' && (
        <Paper p="sm" aria-live="polite">
          <Answer text={result.text} scored={result.scored} />
        </Paper>
      )}
      <WantedCalls reasoning={result.reasoning} calls={result.calls} />
      {result.usage && (
        <Text size="sm" c="dimmed">
          {count(result.usage.prompt_tokens)} prompt tokens (
          {count(result.usage.prompt_tokens_details.cached_tokens)} cached),{' '}
          {count(result.usage.completion_tokens)} completion tokens, first after{' '}
          {milliseconds(result.ttft_ms)}, in all {milliseconds(result.total_ms)}, ended by{' '}
          {result.finishReason ?? '–'}
        </Text>
      )}
      <AsCode path={path} body={body} />
    </Stack>
  );
}
