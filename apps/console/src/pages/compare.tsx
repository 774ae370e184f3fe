import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { NO_ANSWER, streamAnswer } from '../api/chat-stream';
import { useModels } from '../api/models';
import { Button } from '../parts/button';
import { Group, SimpleGrid, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { GrowingText } from '../parts/fields';
import { matches } from '../parts/matches';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { Tags } from '../parts/tags';
import { useActing } from '../tenant';
import { type Cell, ComparedAnswer } from './compared-answer';
import { ComparedPromptHead } from './compared-prompt-head';
import {
  type ComparedPrompt,
  editable,
  emptyPrompt,
  type Expectation,
  loadedPrompts,
  promptsOf,
} from './compared-prompts';
import { EvaluationSetBar, useEvaluationSet } from './evaluation-set-bar';

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

/** An edited prompt has no answer yet. */
const cellKey = (prompt: ComparedPrompt, model: string): string =>
  `${model} ${prompt.key} ${JSON.stringify(prompt.messages)}`;

function Board() {
  const { readOnly } = useActing();
  const names = useModels();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { models?: string; set?: string };
  const models = search.models === undefined ? names.slice(0, 2) : search.models.split(',').filter(Boolean);
  const [text, setText] = useState('');
  const [expectations, setExpectations] = useState<Readonly<Record<string, Expectation>>>({});
  /** A loaded set's prompts as they were changed here; undefined: as they are saved. */
  const [draft, setDraft] = useState<readonly ComparedPrompt[]>();
  const [judged, setJudged] = useState<Readonly<Record<string, boolean | undefined>>>({});
  const set = useEvaluationSet(search.set);
  const { cells, running, run } = useAnswers();

  const loaded = set.data && loadedPrompts(set.data);
  const prompts = loaded ? (draft ?? loaded) : promptsOf(text, expectations);
  const asked = prompts.filter((prompt) => editable(prompt).trim() !== '');
  const change = (part: Record<string, string | undefined>): void =>
    void navigate({ to: '.', search: (before) => ({ ...before, ...part }) as never, replace: true });
  const replace = (to: ComparedPrompt): void =>
    setDraft(prompts.map((prompt) => (prompt.key === to.key ? to : prompt)));
  const expect = (prompt: ComparedPrompt, expectation: Expectation): void => {
    if (loaded) replace({ ...prompt, ...expectation });
    else setExpectations((before) => ({ ...before, [prompt.key]: expectation }));
  };
  const add = (): void => {
    const next = Math.max(-1, ...prompts.map(({ key }) => Number(key))) + 1;
    setDraft([...prompts, emptyPrompt(String(next))]);
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
        prompts={asked}
        changed={draft !== undefined}
        discard={() => setDraft(undefined)}
        choose={(name) => {
          setExpectations({});
          setDraft(undefined);
          change({ set: name });
        }}
      />
      {set.error && <ErrorNote error={set.error} />}
      <Tags
        label="Models"
        description="Base, adapters, versions (adapter@3) and aliases (adapter:staging); the first is what the others are compared with."
        offers={names}
        value={models}
        onChange={(value) => change({ models: value.join(',') })}
      />
      {!search.set && (
        <GrowingText
          label="Prompts, one a line"
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
            void run(asked, models);
          }}
          loading={running}
          disabled={asked.length === 0 || models.length === 0 || readOnly}
        >
          Compare
        </Button>
        <Scores prompts={asked} models={models} passedOf={passedOf} />
      </Group>
      {prompts.map((prompt) => (
        <section key={prompt.key} aria-label={prompt.text}>
          <ComparedPromptHead
            prompt={prompt}
            {...(loaded && !readOnly
              ? {
                  edit: {
                    change: replace,
                    remove: () => setDraft(prompts.filter(({ key }) => key !== prompt.key)),
                  },
                }
              : {})}
            onExpect={(expectation) => expect(prompt, expectation)}
          />
          <SimpleGrid cols={{ base: 1, sm: Math.min(models.length, 4) || 1 }}>
            {models.map((model) => (
              <ComparedAnswer
                key={model}
                model={model}
                cell={cells[cellKey(prompt, model)]}
                first={model === models[0] ? undefined : cells[cellKey(prompt, models[0] ?? '')]}
                passed={passedOf(prompt, model)}
                onJudge={(passed) => setJudged((before) => ({ ...before, [cellKey(prompt, model)]: passed }))}
                onExpect={(expected) => expect(prompt, { expected, match: 'exact' })}
              />
            ))}
          </SimpleGrid>
        </section>
      ))}
      {loaded && !readOnly && (
        <Group>
          <Button variant="light" size="compact-sm" onClick={add}>
            Add a prompt
          </Button>
        </Group>
      )}
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
    const { plain } = prompt;
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
