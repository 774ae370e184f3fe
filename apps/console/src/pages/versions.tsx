import { Link } from '@tanstack/react-router';
import type { AliasResource, VersionResource } from '#contracts/adapters-api.js';
import { part } from '../api/client';
import { useList } from '../api/lists';
import { useResidency } from '../api/residency';
import { Author } from '../parts/author';
import { Button } from '../parts/button';
import { Badge, Group, Text } from '../parts/elements';
import { Empty } from '../parts/empty';
import { bytes } from '../parts/format';
import { Places } from '../parts/places';
import { StateBadge } from '../parts/state-badge';
import { ListTable, moreOf } from '../parts/table';
import { Time } from '../parts/time';
import { useActing } from '../tenant';

const UNDER_WAY = new Set(['uploaded', 'importing', 'validating']);

/** Newest first, each with the aliases that point at it. */
export function Versions({ adapter }: { adapter: string }) {
  const { header } = useActing();
  const path = `/v1/adapters/${part(adapter)}`;
  const aliases = useList<AliasResource>(`${path}/aliases`, { tenant: header, limit: 100 });
  const list = useList<VersionResource>(`${path}/versions`, { tenant: header, every_ms: 10_000 });
  const residency = useResidency(adapter, false) ?? [];
  const aliasesOf = (version: number) =>
    (aliases.rows ?? []).filter(({ routes }) => routes.some((route) => route.version === version));
  return (
    <ListTable
      label="Versions"
      rows={list.rows}
      error={list.error}
      retry={() => void list.refetch()}
      more={moreOf(list)}
      keyOf={({ id }) => id}
      empty={
        <Empty
          text="No version has been uploaded yet."
          command={`lorikeet push ./my-adapter --as ${adapter}`}
          action={
            <Button component={Link} to="/upload" search={{ adapter } as never}>
              Upload one
            </Button>
          }
        />
      }
      columns={[
        {
          head: 'Version',
          cell: ({ version }) => (
            <Link to="/adapters/$adapter/versions/$version" params={{ adapter, version: String(version) }}>
              {version}
            </Link>
          ),
        },
        {
          head: 'State',
          cell: ({ state }) => <StateBadge state={UNDER_WAY.has(state) ? `${state} …` : state} />,
        },
        {
          head: 'Aliases',
          cell: ({ version }) => (
            <Group gap={4}>
              {aliasesOf(version).map(({ name, routes }) => {
                const total = routes.reduce((sum, { weight }) => sum + weight, 0);
                const weight = routes.find((route) => route.version === version)?.weight ?? 0;
                const share = total === 0 ? 0 : Math.round((weight / total) * 100);
                return (
                  <Badge key={name} variant={name === 'latest' ? 'default' : 'filled'} size="sm">
                    {name}
                    {share < 100 && ` ${share} %`}
                  </Badge>
                );
              })}
            </Group>
          ),
        },
        {
          head: 'Source',
          cell: ({ source, parents }) => (
            <>
              <span title={source}>{source.slice(0, 32)}</span>
              {parents.length > 0 && (
                <Text size="xs" c="dimmed">
                  from {parents.map(({ version, digest }) => version ?? digest?.slice(0, 8)).join(', ')}
                </Text>
              )}
            </>
          ),
        },
        { head: 'By', cell: ({ created_by }) => <Author actor={created_by} /> },
        { head: 'Rank', numeric: true, cell: ({ rank }) => rank ?? '–' },
        { head: 'Size', numeric: true, cell: (row) => bytes(row.bytes) },
        {
          head: 'Lies on',
          cell: ({ version, state }) =>
            state === 'ready' ? (
              <Places places={residency.filter((place) => place.version === version)} />
            ) : (
              '–'
            ),
        },
        { head: 'Last served', cell: ({ last_served_at }) => <Time at={last_served_at} /> },
        { head: 'Created', cell: ({ created_at }) => <Time at={created_at} /> },
      ]}
    />
  );
}
