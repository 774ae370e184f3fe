import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { Lineage } from '#contracts/lineage-api.js';
import { call, part } from '../api/client';
import { Group, Text } from '../parts/elements';
import { useActing } from '../tenant';

interface RelativesProps {
  readonly relation: 'ancestor' | 'descendant';
  readonly version: VersionResource;
}

/** The versions that one was trained from, or that were trained from it, nearest first. */
export function Relatives({ relation, version: { adapter, version } }: RelativesProps) {
  const { header } = useActing();
  const { data } = useQuery({
    queryKey: ['lineage', header, adapter, version],
    queryFn: ({ signal }) =>
      call<Lineage>(`/v1/adapters/${part(adapter)}/versions/${version}/lineage`, { tenant: header, signal }),
  });
  const nodes = (data?.nodes ?? []).filter((node) => node.relation === relation);
  if (nodes.length === 0) return '–';
  return (
    <Group gap="sm">
      {nodes.map(({ key, adapter: name, version: number, digest, distance, state }) => (
        <Text size="sm" key={key} span>
          {name !== null && number !== null ? (
            <Link
              to="/adapters/$adapter/versions/$version"
              params={{ adapter: name, version: String(number) }}
            >
              {name}@{number}
            </Link>
          ) : (
            <span className="mono">{digest?.slice(0, 12) ?? key}</span>
          )}
          {distance > 1 && ` (${distance} generations)`}
          {state === 'unknown' && ' (not stored here)'}
        </Text>
      ))}
    </Group>
  );
}
