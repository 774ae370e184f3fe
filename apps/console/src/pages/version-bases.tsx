import type { VersionBaseResource } from '#contracts/revalidation-api.js';
import { Text, Title } from '../parts/elements';
import { StateBadge } from '../parts/state-badge';
import { ListTable } from '../parts/table';
import { Time } from '../parts/time';

/** What became of a version on bases that were loaded after the one that it was made for. */
export function VersionBases({ bases }: { bases: readonly VersionBaseResource[] }) {
  return (
    <section aria-label="Later bases">
      <Title order={2} size="h5" mb="xs">
        On later bases
      </Title>
      <ListTable
        label="Later bases"
        rows={bases}
        keyOf={({ base_digest }) => base_digest}
        empty={null}
        columns={[
          { head: 'Base', cell: ({ base_model }) => base_model },
          {
            head: 'State',
            cell: ({ state, held }) => <StateBadge state={held === null ? state : 'held back'} />,
          },
          { head: 'Why', cell: (row) => <Text size="sm">{reasonOf(row)}</Text> },
          { head: 'Judged', cell: ({ judged_at }) => <Time at={judged_at} /> },
        ]}
      />
    </section>
  );
}

const reasonOf = ({ held, failure, report, state }: VersionBaseResource): string =>
  held ?? failure ?? report?.errors[0]?.message ?? (state === 'ready' ? 'It answers on this base.' : '');
