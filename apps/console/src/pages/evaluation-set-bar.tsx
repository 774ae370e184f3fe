import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { EvaluationSetResource, EvaluationSetSummary } from '#contracts/evaluation-sets-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Group, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Choice, TextField } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { useActing } from '../tenant';
import { casesOf, type ComparedPrompt } from './compared-prompts';

const PATH = '/v1/evaluation-sets';

/** The set of that name; undefined while there is none, or it is on its way. */
export function useEvaluationSet(name: string | undefined) {
  const { header } = useActing();
  return useQuery({
    queryKey: ['evaluation-set', header, name],
    queryFn: ({ signal }) =>
      call<EvaluationSetResource>(`${PATH}/${part(name ?? '')}`, { tenant: header, signal }),
    enabled: name !== undefined,
  });
}

interface SetBarProps {
  readonly name: string | undefined;
  readonly set: EvaluationSetResource | undefined;
  readonly prompts: readonly ComparedPrompt[];
  /** They are not as the set has them. */
  readonly changed: boolean;
  readonly discard: () => void;
  readonly choose: (name: string | undefined) => void;
}

/** Loads, saves and deletes evaluation sets. */
export function EvaluationSetBar({ name, set, prompts, changed, discard, choose }: SetBarProps) {
  const { header, readOnly } = useActing();
  const client = useQueryClient();
  const list = useList<EvaluationSetSummary>(PATH, { tenant: header, limit: 200 });
  const [saveAs, setSaveAs] = useState('');
  const cases = casesOf(prompts);
  // Saving the same prompts again would be no change.
  const savable = cases.length > 0 && (changed || !set);
  const save = async () => {
    const target = saveAs || name || '';
    const saved = await call<EvaluationSetResource>(`${PATH}/${part(target)}`, {
      method: 'PUT',
      tenant: header,
      body: { prompts: cases },
    });
    client.setQueryData(['evaluation-set', header, saved.name], saved);
    await client.invalidateQueries({ queryKey: ['list', PATH] });
    setSaveAs('');
    choose(saved.name);
    return undefined;
  };
  const remove = async (): Promise<void> => {
    await call(`${PATH}/${part(name ?? '')}`, { method: 'DELETE', tenant: header });
    await client.invalidateQueries({ queryKey: ['list', PATH] });
    choose(undefined);
  };
  return (
    <div>
      <Group align="flex-end" gap="xs">
        <Choice
          label="Evaluation set"
          none="none: type prompts below"
          data={[
            ...new Set([...(name === undefined ? [] : [name]), ...(list.rows ?? []).map((row) => row.name)]),
          ]}
          value={name ?? null}
          onChange={(value) => choose(value ?? undefined)}
        />
        {!readOnly && savable && (
          <FormModal
            label={set ? 'Save' : 'Save as a set'}
            title="Save as an evaluation set"
            submit="Save"
            variant="light"
            onSubmit={save}
          >
            <TextField
              label="Name"
              description="A name that is there gets a new revision; hooks that promote by it use the newest."
              value={saveAs === '' ? (name ?? '') : saveAs}
              onChange={(event) => setSaveAs(event.currentTarget.value)}
              required
              data-autofocus
            />
            <Text size="sm">
              {cases.length} of {prompts.length} prompts have an expected answer and are saved.
            </Text>
          </FormModal>
        )}
        {changed && (
          <Button variant="subtle" size="compact-sm" onClick={discard}>
            Discard changes
          </Button>
        )}
        {!readOnly && set && (
          <Confirm label="Delete" title={`Delete the set ${set.name}`} word={set.name} run={remove} />
        )}
      </Group>
      {set && (
        <Text size="xs" c="dimmed" mt={4}>
          Revision {set.revision}, digest <span className="mono">{set.digest.slice(0, 12)}</span>. A hook
          names it as <span className="mono">{`promote.evaluate.set: "${set.name}"`}</span>.
        </Text>
      )}
      {list.error && !list.rows && <ErrorNote error={list.error} />}
    </div>
  );
}
