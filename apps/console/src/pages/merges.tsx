import { Progress } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { MergeResource } from '#contracts/merges-api.js';
import { useList } from '../api/lists';
import { Button } from '../parts/button';
import { Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { bytes } from '../parts/format';
import { later } from '../parts/later';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { VersionLink } from '../parts/version-link';
import { useActing } from '../tenant';

const StartMerge = later(async () => (await import('./start-merge')).StartMerge, null);

/** How often it is asked how far merges are, and when none runs. */
const WHILE_OPEN_MS = 1_000;
const IN_PEACE_MS = 15_000;

export function Merges() {
  const { name, readOnly } = useActing();
  return (
    <Page
      title="Merges"
      about="A version merged into the base model’s weights: one checkpoint that Transformers opens, kept for a while."
      actions={name !== undefined && !readOnly && <StartMerge />}
    >
      <NeedsTenant>
        <MergeList />
      </NeedsTenant>
    </Page>
  );
}

function MergeList() {
  const { header } = useActing();
  const list = useList<MergeResource>('/v1/merges', {
    tenant: header,
    every_ms: (rows) => (rows.some(isOpen) ? WHILE_OPEN_MS : IN_PEACE_MS),
  });
  return (
    <ListTable
      label="Merges"
      rows={list.rows}
      error={list.error}
      retry={() => void list.refetch()}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={
        <Empty
          text="No version has been merged yet. Choose one above, or by:"
          command="lorikeet merges start support-bot@3 --wait"
        />
      }
      columns={[
        {
          head: 'Version',
          cell: ({ adapter, version }) => <VersionLink adapter={adapter} version={version} />,
        },
        { head: 'Base', cell: ({ base_model }) => base_model },
        {
          head: 'State',
          cell: (merge) => <StateBadge state={isOpen(merge) ? `${merge.state} …` : merge.state} />,
        },
        { head: 'Progress', cell: (merge) => <MergeProgress merge={merge} /> },
        { head: 'Size', numeric: true, cell: (merge) => bytes(merge.bytes) },
        {
          head: 'Failure',
          cell: ({ failure }) => (
            <Text size="sm" lineClamp={2}>
              {failure ?? ''}
            </Text>
          ),
        },
        { head: 'Begun', cell: ({ created_at }) => <Time at={created_at} /> },
        { head: 'Kept until', cell: ({ expires_at }) => <Time at={expires_at} /> },
        {
          head: '',
          cell: ({ id }) => (
            <Button
              component={Link}
              to="/merges/$merge"
              params={{ merge: id } as never}
              variant="light"
              size="compact-sm"
            >
              Open
            </Button>
          ),
        },
      ]}
    />
  );
}

export const isOpen = ({ state }: MergeResource): boolean => state === 'queued' || state === 'running';

/** Of the base's weights. */
export function MergeProgress({ merge: { adapter, version, state, progress } }: { merge: MergeResource }) {
  if (progress === null) return state === 'queued' ? 'waits for a worker' : '–';
  const { done, total } = progress;
  return (
    <>
      <Progress
        value={total === 0 ? 100 : (done / total) * 100}
        miw={100}
        aria-label={`Merged of ${adapter}@${version}`}
      />
      <Text size="xs" c="dimmed" className="nowrap">
        {bytes(done)} of {bytes(total)}
      </Text>
    </>
  );
}
