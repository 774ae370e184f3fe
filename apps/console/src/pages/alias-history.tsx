import type { AliasChangeResource } from '#contracts/adapters-api.js';
import { Badge, Group, Stack, Text } from '../parts/elements';
import { Time } from '../parts/time';
import { RouteBar } from './route-bar';

const WORDS = {
  set: { word: 'moved', color: 'blue' },
  rollback: { word: 'rolled back', color: 'orange' },
  automatic: { word: 'followed a new version', color: 'gray' },
  guard: { word: 'guard went back', color: 'red' },
} as const;

/** Newest first: what was changed, by whom or why. */
export function AliasHistory({ history }: { history: readonly AliasChangeResource[] }) {
  return (
    <Stack gap="sm" mt="md">
      {history.map(({ revision, action, routes, reason, breach, key_id, approved_by, created_at }) => (
        <div key={revision}>
          <Group gap="xs" mb={4}>
            <Badge variant="light" color={WORDS[action].color}>
              {WORDS[action].word}
            </Badge>
            <Text size="xs" c="dimmed">
              revision {revision}, <Time at={created_at} />
              {key_id !== null && <> by {key_id.slice(0, 8)}</>}
              {approved_by !== null && <>, approved by {approved_by.slice(0, 8)}</>}
            </Text>
          </Group>
          {reason !== null && <Text size="sm">{reason}</Text>}
          {breach && (
            <Text size="sm">
              version {breach.version}: {breach.bound} {breach.observed} over {breach.limit} in{' '}
              {breach.requests} requests
            </Text>
          )}
          <RouteBar routes={routes} />
        </div>
      ))}
    </Stack>
  );
}
