import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { setting, text } from './settings.js';

export const shutdownSettings = {
  shutdownTimeout_s: setting(
    {
      name: 'SHUTDOWN_TIMEOUT',
      summary:
        'Seconds that a process which is told to end gives its running answers and jobs; then they are cut',
      defaultText: '30 (5 under `npm start`)',
    },
    text.integer(30, 0, 3_600),
  ),
  shutdownDelay_s: setting(
    {
      name: 'SHUTDOWN_DELAY',
      summary:
        'Seconds for which an API that is told to end still takes requests while `/health/ready` is 503 already, so that load balancers look elsewhere',
      defaultText: '2 (0 under `npm start`)',
    },
    text.integer(2, 0, 300),
  ),
};

/** Whether the process has been told to end. */
export class Draining {
  #begun = false;

  get begun(): boolean {
    return this.#begun;
  }

  begin(): void {
    this.#begun = true;
  }
}

/** The requests that a server answers now, from their first byte to the end of their response. */
export class OpenRequests {
  #open = 0;
  #onIdle: () => void = () => undefined;

  constructor(
    private readonly server: Server,
    draining: Draining,
  ) {
    server.prependListener('request', (_request, response) => {
      this.#open += 1;
      // A connection that is kept alive would bring the next request to a server that is about to go.
      if (draining.begun) response.setHeader('connection', 'close');
      response.once('close', () => {
        this.#open -= 1;
        if (this.#open === 0) this.#onIdle();
      });
    });
  }

  /** Takes no new connections; resolves when every request has its answer, or after the limit. */
  async end(limit_ms: number): Promise<void> {
    this.server.close(() => undefined);
    if (this.#open > 0) await inTime(new Promise<void>((resolve) => (this.#onIdle = resolve)), limit_ms);
  }
}

/** Waits for `work`, though not for longer. */
export async function inTime(work: Promise<unknown>, limit_ms: number): Promise<void> {
  const timer = new AbortController();
  const late = sleep(limit_ms, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
