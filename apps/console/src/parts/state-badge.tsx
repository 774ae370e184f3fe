import { Badge } from '@mantine/core';

const COLORS: Readonly<Record<string, string>> = {
  ready: 'teal',
  active: 'teal',
  succeeded: 'teal',
  completed: 'teal',
  up: 'teal',
  rejected: 'red',
  failed: 'red',
  down: 'red',
  unreachable: 'red',
  suspended: 'orange',
  cancelled: 'gray',
  draining: 'orange',
  ignored: 'gray',
  recorded: 'gray',
};

/** Any state word of the API in its colour; what is on its way is blue. */
export function StateBadge({ state }: { state: string }) {
  return (
    <Badge color={COLORS[state] ?? 'blue'} variant="light" tt="none" className="nowrap">
      {state}
    </Badge>
  );
}
