import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { LiveFigures as LiveResource } from '#contracts/live-api.js';
import type { Logger } from '#runtime/logger.js';
import { ACCOUNTS_LOGGER } from '../settings.js';
import { UsageService } from '../usage.service.js';
import { ALL_ADAPTERS } from './figure-row.js';
import { EVERYBODY, type FigureScope, HistoryService } from './history.service.js';
import { LiveWindow } from './live-window.js';

const READ_EVERY_MS = 1_000;
/** Rows of minutes that a read can still see grow: late flushes of other processes too. */
const ROWS_MS = 120_000;
/** A scope that nobody asked for in so long is no longer read. */
const IDLE_MS = 10_000;

interface Watched {
  readonly scope: FigureScope;
  readonly window: LiveWindow;
  readonly timer: NodeJS.Timeout;
  reading: Promise<void>;
  askedAt_ms: number;
}

/** Live figures: while somebody looks at them, one read a second for each scope, however many look. */
@Injectable()
export class LiveFigures implements OnModuleDestroy {
  readonly #watched = new Map<string, Watched>();

  constructor(
    private readonly history: HistoryService,
    private readonly usage: UsageService,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  async onModuleDestroy(): Promise<void> {
    for (const { timer, reading } of this.#watched.values()) {
      clearInterval(timer);
      await reading;
    }
    this.#watched.clear();
  }

  /** Of a tenant; undefined: of all. */
  async read(tenantId: string | undefined): Promise<LiveResource> {
    const scope = tenantId === undefined ? EVERYBODY : { tenantId, served: ALL_ADAPTERS };
    const watched = this.#watched.get(scope.tenantId) ?? this.#watch(scope);
    watched.askedAt_ms = Date.now();
    await watched.reading;
    return watched.window.figures(Date.now());
  }

  #watch(scope: FigureScope): Watched {
    const window = new LiveWindow();
    const timer = setInterval(() => {
      if (Date.now() - watched.askedAt_ms > IDLE_MS) this.#forget(watched);
      else watched.reading = watched.reading.then(() => this.#read(watched));
    }, READ_EVERY_MS).unref();
    const watched: Watched = { scope, window, timer, reading: Promise.resolve(), askedAt_ms: Date.now() };
    watched.reading = this.#read(watched);
    this.#watched.set(scope.tenantId, watched);
    return watched;
  }

  #forget({ scope, timer }: Watched): void {
    clearInterval(timer);
    this.#watched.delete(scope.tenantId);
  }

  /** While PostgreSQL is away the figures grow old, and are right again when it is back. */
  async #read({ scope, window }: Watched): Promise<void> {
    try {
      await this.usage.flush();
      const now_ms = Date.now();
      const range = {
        from: new Date(now_ms - ROWS_MS),
        to: new Date(now_ms + ROWS_MS),
        rows: 'minute',
      } as const;
      window.read(await this.history.rows(scope, range), now_ms);
    } catch (err) {
      this.logger.debug({ err }, 'live figures could not be read; it is tried again');
    }
  }
}
