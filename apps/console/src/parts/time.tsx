import { ago, bothZones } from './format';
import { Hint } from './hint';

interface TimeProps {
  /** ISO 8601, or Unix seconds. */
  readonly at: string | number | null | undefined;
  /** `clock`: the time of day (with the date, on another day) instead of how long ago. */
  readonly as?: 'ago' | 'clock';
}

/** A time in the reader's zone; UTC and the full local time on hover or touch. Every time of the console is one of these. */
export function Time({ at, as = 'ago' }: TimeProps) {
  if (at === null || at === undefined) return <span className="dimmed">–</span>;
  const iso = typeof at === 'number' ? new Date(at * 1000).toISOString() : at;
  return (
    <Hint label={() => bothZones(iso)}>
      <time dateTime={iso} className="nowrap">
        {as === 'ago' ? ago(iso) : clock(new Date(iso))}
      </time>
    </Hint>
  );
}

function clock(time: Date): string {
  const today = time.toDateString() === new Date().toDateString();
  return today ? time.toLocaleTimeString() : time.toLocaleString();
}
