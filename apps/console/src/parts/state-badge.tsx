import { Badge } from './elements';

const COLORS: Readonly<Record<string, string>> = {
  ready: 'teal',
  active: 'teal',
  succeeded: 'teal',
  completed: 'teal',
  up: 'teal',
  finished: 'teal',
  promoted: 'teal',
  rejected: 'red',
  failed: 'red',
  down: 'red',
  unreachable: 'red',
  suspended: 'orange',
  left: 'orange',
  'held back': 'orange',
  cancelled: 'gray',
  unchanged: 'gray',
  expired: 'gray',
  draining: 'orange',
  ignored: 'gray',
  recorded: 'gray',
};

/** Any state word of the API in its colour; what is on its way is blue. */
export function StateBadge({ state }: { state: string }) {
  return (
    <Badge color={COLORS[state] ?? 'blue'} variant="light" className="nowrap">
      {state}
    </Badge>
  );
}
