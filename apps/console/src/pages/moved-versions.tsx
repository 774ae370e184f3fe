import { useNavigate, useSearch } from '@tanstack/react-router';
import type { MovedVersion, MoveEvaluation } from '#contracts/base-moves-api.js';
import { useList } from '../api/lists';
import { Badge, Group, Stack, Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { percent } from '../parts/format';
import { Segments } from '../parts/segments';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { VersionLink } from '../parts/version-link';
import { useActing } from '../tenant';

const WHILE_RUNNING_MS = 1_500;
const STATES = ['all', 'promoted', 'left', 'unchanged', 'checking', 'evaluating'];

/** A move's report: each version, what was found of it, and what became of it. */
export function MovedVersions({ path, running }: { path: string; running: boolean }) {
  const { header } = useActing();
  const navigate = useNavigate();
  const { state } = useSearch({ strict: false }) as { state?: string };
  const list = useList<MovedVersion>(`${path}/versions`, {
    tenant: header,
    query: { state },
    // It may have been asked for a moment before the move ended.
    every_ms: (rows) => (running || rows.some(isOpen) ? WHILE_RUNNING_MS : 60_000),
  });
  return (
    <Stack gap="sm">
      <div className="scroll-x">
        <Segments
          aria-label="Versions by state"
          data={STATES}
          value={state ?? 'all'}
          onChange={(value) =>
            void navigate({
              to: '.',
              search: (before) => ({ ...before, state: value === 'all' ? undefined : value }) as never,
              replace: true,
            })
          }
        />
      </div>
      <ListTable
        label="Report"
        rows={list.rows}
        error={list.error}
        retry={() => void list.refetch()}
        more={moreOf(list)}
        keyOf={({ id }) => id}
        empty={
          <Empty
            text={
              state === undefined
                ? 'No alias leads to a version, so there was nothing to move.'
                : 'No version of this move is in this state.'
            }
          />
        }
        columns={[
          {
            head: 'Version',
            cell: ({ adapter, version }) => <VersionLink adapter={adapter} version={version} />,
          },
          { head: 'Aliases', cell: ({ aliases }) => <Aliases names={aliases} /> },
          {
            head: 'Became',
            cell: (row) => <StateBadge state={isOpen(row) ? `${row.state} …` : row.state} />,
          },
          { head: 'Check', cell: (row) => <Check check={row.check} /> },
          { head: 'Prompts', cell: ({ evaluation }) => <Score evaluation={evaluation} /> },
          { head: 'Why', cell: ({ reason }) => <Text size="sm">{reason ?? ''}</Text> },
          { head: 'Decided', cell: ({ decided_at }) => <Time at={decided_at} /> },
        ]}
      />
    </Stack>
  );
}

const isOpen = ({ state }: MovedVersion): boolean => state === 'checking' || state === 'evaluating';

function Aliases({ names }: { names: readonly string[] }) {
  return (
    <Group gap={4}>
      {names.map((name) => (
        <Badge key={name} variant="default" size="sm">
          {name}
        </Badge>
      ))}
    </Group>
  );
}

function Check({ check }: Pick<MovedVersion, 'check'>) {
  if (check === null) return '–';
  const { state, parity, error, failure } = check;
  return (
    <>
      <StateBadge state={state} />
      {parity !== null && (
        <Text size="xs" c="dimmed" className="nowrap">
          {parity ? 'as its dense merge' : 'not as its dense merge'}
        </Text>
      )}
      {error && (
        <Text size="xs">
          <span className="mono">{error.code}</span>: {error.message}
        </Text>
      )}
      {failure !== null && <Text size="xs">{failure}</Text>}
    </>
  );
}

function Score({ evaluation }: { evaluation: MoveEvaluation | null }) {
  if (evaluation === null) return '–';
  const { passed, prompts, score, min_score, by, hook, evaluation_set: set, failures } = evaluation;
  return (
    <>
      <Text size="sm" className="nowrap">
        {passed} of {prompts} right, {percent(score)} of {percent(min_score)}
      </Text>
      <Text size="xs" c="dimmed">
        {set ? `${set.name}, revision ${set.revision}` : 'prompts of its own'}
        {by === 'hook' && `, by the hook ${hook ?? ''}`}
      </Text>
      {failures.length > 0 && (
        <details>
          <summary>
            {failures.length === prompts - passed
              ? 'What failed'
              : `The first ${failures.length} that failed`}
          </summary>
          {failures.map(({ index, match, expected, answer, error }) => (
            <Text size="xs" key={index} className="answer">
              Prompt {index + 1}: expected ({match}) {JSON.stringify(expected)}, got{' '}
              {answer === null ? (error ?? 'no answer') : JSON.stringify(answer)}
            </Text>
          ))}
        </details>
      )}
    </>
  );
}
