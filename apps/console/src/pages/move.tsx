import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import type { BaseMoveResource } from '#contracts/base-moves-api.js';
import { call, part } from '../api/client';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { SimpleGrid, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Figure } from '../parts/figure';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { useActing } from '../tenant';
import { MovedVersions } from './moved-versions';

const WHILE_RUNNING_MS = 1_500;

export function MovePage() {
  const { move } = useParams({ strict: false }) as { move: string };
  return (
    <NeedsTenant>
      <Detail id={move} />
    </NeedsTenant>
  );
}

function Detail({ id }: { id: string }) {
  const { header } = useActing();
  const path = `/v1/base-moves/${part(id)}`;
  const { data, error, refetch } = useQuery({
    queryKey: ['base move', header, id],
    queryFn: ({ signal }) => call<BaseMoveResource>(path, { tenant: header, signal }),
    refetchInterval: ({ state }) => (state.data?.state === 'running' ? WHILE_RUNNING_MS : false),
  });
  return (
    <Page
      title={data ? `Move to ${data.base_model}` : 'Base move'}
      about={data && policyText(data)}
      actions={data && <Actions move={data} path={path} />}
    >
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data && <Counts counts={data.counts} />}
      {data && <MovedVersions key={data.state} path={path} running={data.state === 'running'} />}
    </Page>
  );
}

function Actions({ move: { adapter, state, counts }, path }: { move: BaseMoveResource; path: string }) {
  const { header, readOnly } = useActing();
  const again = { start: 'now', ...(adapter === null ? {} : { adapter }) };
  return (
    <>
      <StateBadge state={state} />
      {!readOnly && state === 'running' && (
        <Confirm
          label="Cancel"
          title="Cancel the move"
          run={() => call(`${path}/cancel`, { method: 'POST', tenant: header })}
        >
          <Text size="sm">What is not decided yet is left. What it has promoted goes on answering.</Text>
        </Confirm>
      )}
      {!readOnly && state !== 'running' && counts.left > 0 && (
        <Button component={Link} to="/moves" search={again as never} size="compact-sm" variant="light">
          Move again
        </Button>
      )}
    </>
  );
}

function Counts({ counts }: Pick<BaseMoveResource, 'counts'>) {
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }}>
      <Figure label="Promoted" value={counts.promoted} note="answer on this base now" />
      <Figure label="Left" value={counts.left} note="do not answer on this base" />
      <Figure label="Unchanged" value={counts.unchanged} note="answered on it before" />
      <Figure
        label="Not decided"
        value={counts.checking + counts.evaluating}
        note={`${counts.checking} being checked, ${counts.evaluating} being asked`}
      />
    </SimpleGrid>
  );
}

/** By what the move judges, in one sentence. */
function policyText({ adapter, policy }: BaseMoveResource): string {
  const { evaluate, unevaluated, rejected } = policy;
  const by = evaluate
    ? `the evaluation set ${evaluate.set}, of which ${Math.round(evaluate.min_score * 100)} % have to be right`
    : 'the prompts by which the hooks of the adapters promote';
  const without = unevaluated === 'promote' ? 'answers all the same' : 'is left';
  return (
    `${adapter === null ? 'All adapters' : `Adapter ${adapter}`}, judged by ${by}; what there are no prompts for ${without}.` +
    (rejected ? ' What this base had rejected is checked again.' : '')
  );
}
