import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { AdapterResource } from '#contracts/adapters-api.js';
import type { BaseMoveResource } from '#contracts/base-moves-api.js';
import type { EvaluationSetSummary } from '#contracts/evaluation-sets-api.js';
import { call } from '../api/client';
import { useList } from '../api/lists';
import { Group } from '../parts/elements';
import { Check, Choice, NumberField, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { useActing } from '../tenant';

/** Orders a move, and goes to its report. */
export function StartMove() {
  const { header } = useActing();
  const navigate = useNavigate();
  const asked = useSearch({ strict: false }) as { start?: string; adapter?: string };
  const [adapter, setAdapter] = useState(asked.adapter ?? '');
  const [set, setSet] = useState<string | null>(null);
  const [percent, setPercent] = useState<number | string>(100);
  const [maxTokens, setMaxTokens] = useState<number | string>(64);
  const [unevaluated, setUnevaluated] = useState(false);
  const [rejected, setRejected] = useState(false);
  const adapters = useList<AdapterResource>('/v1/adapters', { tenant: header, limit: 200 });
  const sets = useList<EvaluationSetSummary>('/v1/evaluation-sets', { tenant: header, limit: 200 });
  const start = async () => {
    const evaluate = { set, min_score: Number(percent) / 100, max_tokens: Number(maxTokens) };
    const { id } = await call<BaseMoveResource>('/v1/base-moves', {
      method: 'POST',
      tenant: header,
      body: {
        ...(adapter.trim() === '' ? {} : { adapter: adapter.trim() }),
        ...(set === null ? {} : { evaluate }),
        unevaluated: unevaluated ? 'promote' : 'leave',
        rejected,
      },
    });
    await navigate({ to: '/moves/$move', params: { move: id } });
    return undefined;
  };
  const leave = (): void =>
    void navigate({
      to: '.',
      search: (before) => ({ ...before, start: undefined, adapter: undefined }) as never,
      replace: true,
    });
  return (
    <FormModal
      label="Move to this base"
      title="Move to the base model that is served"
      submit="Begin the move"
      asked={{ opened: asked.start !== undefined, leave }}
      onSubmit={start}
    >
      <TextField
        label="Adapter"
        description="The only one to move; empty: all that aliases lead to."
        placeholder="all"
        offers={(adapters.rows ?? []).map(({ name }) => name)}
        value={adapter}
        onChange={(event) => setAdapter(event.currentTarget.value)}
      />
      <Choice
        label="Judge by evaluation set"
        description="Made on the page Compare. None: by the prompts by which the hooks of the adapters promote."
        none="as the hooks promote"
        data={(sets.rows ?? []).map(({ name }) => name)}
        value={set}
        onChange={setSet}
      />
      {set !== null && (
        <Group grow align="flex-start">
          <NumberField
            label="Right answers, %"
            description="At least so many."
            value={percent}
            onChange={setPercent}
            min={0}
            max={100}
            required
          />
          <NumberField
            label="Tokens of an answer"
            description="At most so many."
            value={maxTokens}
            onChange={setMaxTokens}
            min={1}
            max={4096}
            required
          />
        </Group>
      )}
      <Check
        label="Also let answer what there are no prompts for"
        checked={unevaluated}
        onChange={(checked) => setUnevaluated(checked)}
      />
      <Check
        label="Check again what this base has rejected already"
        checked={rejected}
        onChange={(checked) => setRejected(checked)}
      />
    </FormModal>
  );
}
