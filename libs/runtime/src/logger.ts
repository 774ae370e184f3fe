import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import { setting, text } from './settings.js';

export type { Logger } from 'pino';

export const logSettings = {
  logLevel: setting(
    { name: 'LOG_LEVEL', summary: 'Lowest level that is logged', defaultText: 'info' },
    text.oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
  ),
};

/** JSON lines on standard output; keys, tokens and prompts are never logged. */
export function makeLogger(app: string, level: string): Logger {
  return pino({
    level,
    base: { app },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ['headers.authorization', '*.authorization', 'key', 'secret'],
  });
}

/** Nest's own messages through pino; its start-up chatter goes to debug. */
export function nestLogger(logger: Logger): LoggerService {
  return {
    log: (message: unknown, ...rest: unknown[]) => logger.debug({ context: rest.at(-1) }, String(message)),
    warn: (message: unknown, ...rest: unknown[]) => logger.warn({ context: rest.at(-1) }, String(message)),
    error: (message: unknown, ...rest: unknown[]) => logger.error({ detail: rest }, String(message)),
    debug: (message: unknown) => logger.debug(String(message)),
    verbose: (message: unknown) => logger.trace(String(message)),
    fatal: (message: unknown) => logger.fatal(String(message)),
  };
}
