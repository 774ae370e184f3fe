import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { LiveFigures } from '#contracts/live-api.js';
import type { ErrorEnvelope } from '#contracts/errors.js';
import type { List } from '#contracts/resource.js';
import { ApiError, request } from './client';
import { eventsOf } from './events';

/** Figures of the last minutes, oldest first; what a chart of them needs. */
const KEPT = 300;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

export interface Live<T extends LiveFigures> {
  readonly series: readonly T[];
  /** Whether figures come at this moment. */
  readonly connected: boolean;
}

/**
 * Live figures while the page is shown: one stream, opened again when it ends, until the session does. A page that is
 * hidden needs none.
 */
export function useLive<T extends LiveFigures>(path: string, tenant?: string): Live<T> {
  const client = useQueryClient();
  const [live, setLive] = useState<Live<T>>({ series: [], connected: false });
  useEffect(() => {
    setLive({ series: [], connected: false });
    const control = new AbortController();
    const add = (figures: T): void =>
      setLive(({ series }) => ({ series: [...series.slice(1 - KEPT), figures], connected: true }));
    const lose = (): void => setLive(({ series }) => ({ series, connected: false }));
    const over = (): void => void client.invalidateQueries({ queryKey: ['session'] });
    void follow<T>(path, tenant, { add, lose, over, signal: control.signal });
    return () => control.abort();
  }, [path, tenant, client]);
  return live;
}

/** The newest of a list, as they come: each message is the list as it stands. */
export function useLiveList<T>(
  path: string,
  tenant?: string,
): { readonly rows: readonly T[] | undefined; readonly connected: boolean } {
  const client = useQueryClient();
  const [list, setList] = useState<{ rows: readonly T[] | undefined; connected: boolean }>(NOTHING);
  useEffect(() => {
    setList(NOTHING);
    const control = new AbortController();
    const add = ({ data }: List<T>): void => setList({ rows: data, connected: true });
    const lose = (): void => setList(({ rows }) => ({ rows, connected: false }));
    const over = (): void => void client.invalidateQueries({ queryKey: ['session'] });
    void follow<List<T>>(path, tenant, { add, lose, over, signal: control.signal });
    return () => control.abort();
  }, [path, tenant, client]);
  return list;
}

const NOTHING = { rows: undefined, connected: false };

interface Follower<T> {
  readonly add: (figures: T) => void;
  readonly lose: () => void;
  /** The session ended, or may no longer see this. */
  readonly over: () => void;
  readonly signal: AbortSignal;
}

async function follow<T extends object>(
  path: string,
  tenant: string | undefined,
  { add, lose, over, signal }: Follower<T>,
): Promise<void> {
  for (let pause_ms = FIRST_PAUSE_MS; !signal.aborted; pause_ms = Math.min(pause_ms * 2, LONGEST_PAUSE_MS)) {
    try {
      const response = await request(path, { tenant, signal, headers: { accept: 'text/event-stream' } });
      for await (const data of eventsOf(response)) {
        const message = JSON.parse(data) as T | ErrorEnvelope;
        if ('error' in message)
          throw new ApiError(message.error.message, 401, message.error.code, null, null);
        add(message);
        pause_ms = FIRST_PAUSE_MS;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) over();
    }
    lose();
    await new Promise((resolve) => setTimeout(resolve, pause_ms));
  }
}
