import type { Logger } from './logger.js';

export interface Closable {
  readonly name: string;
  close(): Promise<void> | void;
}

/** How long a process may take to end in order before it ends anyway. */
const GRACE_MS = 10_000;

/**
 * Runs `closables` one after another on SIGTERM or SIGINT (and on an error nobody owned), then exits.
 * A second signal exits at once.
 */
export function onShutdown(logger: Logger, closables: readonly Closable[]): void {
  let closing = false;
  const close = async (why: string, exitCode: number): Promise<void> => {
    if (closing) process.exit(exitCode === 0 ? 130 : exitCode);
    closing = true;
    logger.info({ why }, 'shutting down');
    const timer = setTimeout(() => {
      logger.error('shutdown took too long');
      process.exit(1);
    }, GRACE_MS);
    timer.unref();
    for (const closable of closables) {
      try {
        await closable.close();
      } catch (err) {
        logger.error({ err, part: closable.name }, 'could not be closed in order');
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
