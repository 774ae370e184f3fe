import type { Logger } from './logger.js';

export interface Closable {
  readonly name: string;
  close(): Promise<void> | void;
}

/** What a process does before it closes: it takes nothing new and lets what runs come to its end. */
export interface Drain {
  run(): Promise<void>;
  /** Within which `run` returns. */
  readonly limit_ms: number;
}

/** How long a process may take to end in order, once it has drained, before it ends anyway. */
const GRACE_MS = 10_000;

/**
 * Drains and then runs `closables` one after another on SIGTERM or SIGINT, then exits; on an error nobody owned without
 * draining. A second signal exits at once.
 */
export function onShutdown(logger: Logger, closables: readonly Closable[], drain?: Drain): void {
  let closing = false;
  const close = async (why: string, exitCode: number): Promise<void> => {
    if (closing) process.exit(exitCode === 0 ? 130 : exitCode);
    closing = true;
    logger.info({ why }, 'shutting down');
    const first = exitCode === 0 ? drain : undefined;
    const timer = setTimeout(
      () => {
        logger.error('shutdown took too long');
        process.exit(1);
      },
      GRACE_MS + (first?.limit_ms ?? 0),
    );
    timer.unref();
    const parts = [...(first ? [{ name: 'drain', close: () => first.run() }] : []), ...closables];
    for (const part of parts) {
      try {
        await part.close();
      } catch (err) {
        logger.error({ err, part: part.name }, 'could not be closed in order');
      }
    }
    process.exit(exitCode);
  };
  process.on('SIGTERM', () => void close('SIGTERM', 0));
  process.on('SIGINT', () => void close('SIGINT', 0));
  process.on('uncaughtException', (err) => {
    logger.fatal({ err }, 'uncaught exception');
    void close('uncaught exception', 1);
  });
  process.on('unhandledRejection', (err) => {
    logger.fatal({ err }, 'unhandled rejection');
    void close('unhandled rejection', 1);
  });
}
