import { useEffect, useState } from 'react';
import type { AliasWithHistory } from '#contracts/adapters-api.js';
import { useResidency } from '../api/residency';
import { Text } from '../parts/elements';

/** So long after a change versions that lost all traffic are watched. */
const WATCHED_MS = 15 * 60_000;
/** That nothing was left to wait for is news for so long. */
const LATELY_MS = 60_000;

interface Departure {
  readonly revision: number;
  /** From the change to the last answer of the versions that left; undefined: they still answer. */
  readonly seconds?: number;
}

/** Versions that the newest change of an alias took all traffic from: whether they still write, and when they were done. */
export function LeavingVersions({ adapter, alias }: { adapter: string; alias: AliasWithHistory }) {
  const [change, before] = alias.history;
  const stays = new Set(alias.routes.map(({ version }) => version));
  const leaving = (before?.routes ?? [])
    .map(({ version }) => version)
    .filter((version) => !stays.has(version));
  const since_ms = Date.now() - Date.parse(change?.created_at ?? '');
  const watched = leaving.length > 0 && since_ms < WATCHED_MS;
  const residency = useResidency(adapter, watched);
  const running = residency
    ?.filter(({ version }) => leaving.includes(version))
    .reduce((sum, { requests }) => sum + (requests ?? 0), 0);
  const [departure, setDeparture] = useState<Departure>();
  const { revision } = alias;
  useEffect(() => {
    if (!watched || running === undefined) return;
    setDeparture((known) => {
      if (running > 0) return { revision };
      if (known?.revision !== revision || known.seconds !== undefined) return known;
      return { revision, seconds: since_ms / 1000 };
    });
    // Only what the engines say moves it, not the time that passes.
  }, [watched, running, revision]);
  if (!watched || running === undefined) return null;
  const told = running > 0 || departure?.revision === revision || since_ms < LATELY_MS;
  if (!told) return null;
  const names = leaving.map((version) => `version ${version}`).join(' and ');
  const now = departure?.revision === revision ? departure : undefined;
  return (
    <Text size="sm" mt="sm" role="status">
      {running > 0
        ? `${running} ${running === 1 ? 'answer' : 'answers'} of ${names} still being written, ${Math.round(since_ms / 1000)} s after the change.`
        : now?.seconds === undefined
          ? `No answer of ${names} is being written any more.`
          : `The last token of ${names} came ${now.seconds.toFixed(1)} s after the change.`}
    </Text>
  );
}
