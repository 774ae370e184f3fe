import {
  Button,
  Group,
  MultiSelect,
  Select,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import type { EvaluationCase } from '#contracts/promotion.js';
import { NO_ANSWER, streamAnswer } from '../api/chat-stream';
import { useModels } from '../api/models';
import { ErrorNote } from '../parts/error-note';
import { matches } from '../parts/matches';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { useActing } from '../tenant';
import { type Cell, ComparedAnswer } from './compared-answer';
import {
  type ComparedPrompt,
  type Expectation,
  loadedPrompts,
  NO_EXPECTATION,
  promptsOf,
} from './compared-prompts';
import { EvaluationSetBar, useEvaluationSet } from './evaluation-set-bar';

const MATCHES = [
  { value: 'exact', label: 'is exactly' },
  { value: 'contains', label: 'contains' },
  { value: 'regex', label: 'matches the pattern' },
];

export function Compare() {
  return (
    <Page
      title="Compare"
      about="One set of prompts, several models side by side, greedy. Tokens that differ from the first model are marked. With expected answers it is an evaluation set, by which hooks can promote."
    >
      <NeedsTenant>
        <Board />
      </NeedsTenant>
    </Page>
  );
}

const cellKey = (prompt: ComparedPrompt, model: string): string => `${model} ${prompt.key}`;

function Board() {
  const { readOnly } = useActing();
  const names = useModels();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { models?: string; set?: string };
  const models = search.models === undefined ? names.slice(0, 2) : search.models.split(',').filter(Boolean);
  const [text, setText] = useState('');
  const [expectations, setExpectations] = useState<Readonly<Record<string, Expectation>>>({});
  const [judged, setJudged] = useState<Readonly<Record<string, boolean | undefined>>>({});
  const set = useEvaluationSet(search.set);
  const { cells, running, run } = useAnswers();

  const prompts = set.data
    ? loadedPrompts(set.data).map((prompt) => ({ ...prompt, ...expectations[prompt.key] }))
    : promptsOf(text, expectations);
  const change = (part: Record<string, string | undefined>): void =>
    void navigate({ to: '.', search: (before) => ({ ...before, ...part }) as never, replace: true });
  const expect = (key: string, expectation: Expectation): void => {
    setExpectations((before) => ({ ...before, [key]: expectation }));
  };
  const passedOf = (prompt: ComparedPrompt, model: string): boolean | undefined => {
    const cell = cells[cellKey(prompt, model)];
    const byHand = judged[cellKey(prompt, model)];
    if (byHand !== undefined || cell?.total_ms === undefined) return byHand;
    return prompt.expected === '' ? undefined : matches(cell.text, prompt);
  };
  return (
    <Stack>
      <EvaluationSetBar
        name={search.set}
        set={set.data}
        prompts={prompts}
        choose={(name) => {
          setExpectations({});
          change({ set: name });
        }}
      />
      {set.error && <ErrorNote error={set.error} />}
      <MultiSelect
        label="Models"
        data={[...new Set([...models, ...names])]}
        value={[...models]}
        onChange={(value) => change({ models: value.join(',') })}
        searchable
      />
      {!search.set && (
        <Textarea
          label="Prompts, one a line"
          autosize
          minRows={3}
          maxRows={12}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <Group>
        <Button
          onClick={() => {
            setJudged({});
            void run(prompts, models);
          }}
          loading={running}
          disabled={prompts.length === 0 || models.length === 0 || readOnly}
        >
          Compare
        </Button>
        <Scores prompts={prompts} models={models} passedOf={passedOf} />
      </Group>
      {prompts.map((prompt) => (
        <section key={prompt.key} aria-label={prompt.text}>
          <Text fw={600} mb={4} className="answer">
            {prompt.text}
          </Text>
          <Expected prompt={prompt} onChange={(expectation) => expect(prompt.key, expectation)} />
          <SimpleGrid cols={{ base: 1, sm: Math.min(models.length, 4) || 1 }}>
            {models.map((model) => (
              <ComparedAnswer
                key={model}
                model={model}
                cell={cells[cellKey(prompt, model)]}
                first={model === models[0] ? undefined : cells[cellKey(prompt, models[0] ?? '')]}
                passed={passedOf(prompt, model)}
                onJudge={(passed) => setJudged((before) => ({ ...before, [cellKey(prompt, model)]: passed }))}
                onExpect={(expected) => expect(prompt.key, { expected, match: 'exact' })}
              />
            ))}
          </SimpleGrid>
        </section>
      ))}
    </Stack>
  );
}

/** The answers of a run, as they come; a new run, or leaving the page, ends it. */
function useAnswers() {
  const { header } = useActing();
  const [cells, setCells] = useState<Readonly<Record<string, Cell>>>({});
  const [running, setRunning] = useState(false);
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const ask = async (prompt: ComparedPrompt, model: string, signal: AbortSignal): Promise<void> => {
    let cell: Cell = NO_ANSWER;
    const show = (change: Cell): void => {
      cell = change;
      setCells((before) => ({ ...before, [cellKey(prompt, model)]: change }));
    };
    const sampling = { model, temperature: 0, max_tokens: 256 };
    const plain = prompt.original?.prompt;
    const body =
      plain === undefined
        ? { ...sampling, messages: prompt.messages, logprobs: true, top_logprobs: 3 }
        : { ...sampling, prompt: plain, logprobs: 3 };
    const path = plain === undefined ? '/v1/chat/completions' : '/v1/completions';
    try {
      await streamAnswer(path, body, { tenant: header, signal, onAnswer: show });
    } catch (error) {
      if (!signal.aborted) show({ ...cell, error });
    }
  };
  const run = async (prompts: readonly ComparedPrompt[], models: readonly string[]): Promise<void> => {
    const control = new AbortController();
    abort.current?.abort();
    abort.current = control;
    setRunning(true);
    setCells({});
    for (const prompt of prompts) {
      if (control.signal.aborted) return;
      await Promise.all(models.map((model) => ask(prompt, model, control.signal)));
    }
    setRunning(false);
  };
  return { cells, running, run };
}

function Expected({ prompt, onChange }: { prompt: ComparedPrompt; onChange: (to: Expectation) => void }) {
  const { expected, match } = prompt;
  return (
    <Group gap="xs" mb="xs" wrap="nowrap">
      <Select
        aria-label={`How the answer to ${prompt.text} is judged`}
        size="xs"
        w={160}
        data={MATCHES}
        value={match}
        onChange={(value) =>
          onChange({ expected, match: (value ?? NO_EXPECTATION.match) as EvaluationCase['match'] })
        }
        allowDeselect={false}
      />
      <TextInput
        aria-label={`Expected of ${prompt.text}`}
        placeholder="expected answer (not scored without one)"
        size="xs"
        flex={1}
        value={expected}
        onChange={(event) => onChange({ expected: event.currentTarget.value, match })}
      />
    </Group>
  );
}

interface ScoresProps {
  readonly prompts: readonly ComparedPrompt[];
  readonly models: readonly string[];
  readonly passedOf: (prompt: ComparedPrompt, model: string) => boolean | undefined;
}

/** The share of right answers of each model, among those that were judged. */
function Scores({ prompts, models, passedOf }: ScoresProps) {
  const scores = models.map((model) => {
    const verdicts = prompts.map((prompt) => passedOf(prompt, model)).filter((each) => each !== undefined);
    return { model, judged: verdicts.length, right: verdicts.filter(Boolean).length };
  });
  if (scores.every(({ judged }) => judged === 0)) return null;
  return (
    <Text size="sm" role="status">
      {scores.map(({ model, judged, right }) => `${model}: ${right} of ${judged} right`).join(' · ')}
    </Text>
  );
}
