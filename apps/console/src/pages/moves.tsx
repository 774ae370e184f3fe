import { Progress } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { BaseMoveResource } from '#contracts/base-moves-api.js';
import type { Revalidation } from '#contracts/revalidation-api.js';
import { call } from '../api/client';
import { useList } from '../api/lists';
import { Group, Paper, Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { later } from '../parts/later';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

const StartMove = later(async () => (await import('./start-move')).StartMove, null);

/** How often it is asked how far a move is, and when none runs. */
const WHILE_RUNNING_MS = 1_500;
const IN_PEACE_MS = 15_000;

export function Moves() {
  const { name, readOnly } = useActing();
  return (
    <Page
      title="Base moves"
      about="After the base model was changed: each version that an alias leads to is checked against the new base, asked your prompts, and answers from then on, or is left with the reason."
      actions={name !== undefined && !readOnly && <StartMove />}
    >
      <NeedsTenant>
        <OnThisBase />
        <MoveList />
      </NeedsTenant>
    </Page>
  );
}

/** What of the tenant answers on the base that is served: whether there is anything to move. */
function OnThisBase() {
  const { header } = useActing();
  const { data, error, refetch } = useQuery({
    queryKey: ['revalidation', header],
    queryFn: ({ signal }) => call<Revalidation>('/v1/revalidations', { tenant: header, signal }),
    refetchInterval: IN_PEACE_MS,
  });
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (!data) return null;
  const others = [
    [data.unvalidated, 'made for another base'],
    [data.queued, 'being checked'],
    [data.held, 'held back by a move'],
    [data.rejected, 'rejected by it'],
  ] as const;
  const told = others.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`);
  return (
    <Paper p="md">
      <Text size="sm">
        <b>{data.base_model}</b> is served: {data.ready}{' '}
        {data.ready === 1 ? 'version answers' : 'versions answer'} on it
        {told.length > 0 ? `, ${told.join(', ')}` : '; there is nothing to move'}.
      </Text>
    </Paper>
  );
}

function MoveList() {
  const { header } = useActing();
  const list = useList<BaseMoveResource>('/v1/base-moves', {
    tenant: header,
    every_ms: (rows) => (rows.some(({ state }) => state === 'running') ? WHILE_RUNNING_MS : IN_PEACE_MS),
  });
  return (
    <ListTable
      label="Base moves"
      rows={list.rows}
      error={list.error}
      retry={() => void list.refetch()}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={
        <Empty
          text="Nothing has been moved yet. Begin a move above once another base model is served, or by:"
          command="lorikeet moves start --wait"
        />
      }
      columns={[
        {
          head: 'To base',
          cell: ({ id, base_model }) => (
            <Link to="/moves/$move" params={{ move: id }} className="nowrap">
              {base_model}
            </Link>
          ),
        },
        { head: 'Adapters', cell: ({ adapter }) => adapter ?? 'all' },
        { head: 'State', cell: ({ state }) => <StateBadge state={state} /> },
        { head: 'Decided', cell: (move) => <Decided move={move} /> },
        { head: 'Promoted', numeric: true, cell: ({ counts }) => counts.promoted },
        { head: 'Left', numeric: true, cell: ({ counts }) => counts.left },
        { head: 'Answered before', numeric: true, cell: ({ counts }) => counts.unchanged },
        { head: 'Begun', cell: ({ created_at }) => <Time at={created_at} /> },
        { head: 'Ended', cell: ({ finished_at }) => <Time at={finished_at} /> },
      ]}
    />
  );
}

/** How many of a move's versions are decided. */
export function Decided({ move: { counts } }: { move: BaseMoveResource }) {
  const decided = counts.promoted + counts.left + counts.unchanged;
  const all = decided + counts.checking + counts.evaluating;
  return (
    <Group gap="xs" wrap="nowrap">
      <Progress
        value={all === 0 ? 100 : (decided / all) * 100}
        w={80}
        aria-label={`${decided} of ${all} versions are decided`}
      />
      <Text size="sm" className="nowrap">
        {decided} of {all}
      </Text>
    </Group>
  );
}
