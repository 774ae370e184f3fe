import { Text, Tooltip } from '@mantine/core';
import { ago } from './format';

/** A time in the reader's zone; UTC and the full local time on hover. */
export function Time({ at }: { at: string | number | null | undefined }) {
  if (at === null || at === undefined)
    return (
      <Text span c="dimmed">
        –
      </Text>
    );
  const iso = typeof at === 'number' ? new Date(at * 1000).toISOString() : at;
  const local = new Date(iso).toLocaleString();
  return (
    <Tooltip label={`${local} · ${iso} (UTC)`} openDelay={200}>
      <time dateTime={iso} className="nowrap">
        {ago(iso)}
      </time>
    </Tooltip>
  );
}
