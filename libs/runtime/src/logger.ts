import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, pino } from 'pino';
import { cut, loggedFields, plainText } from './log-fields.js';
import { setting, text } from './settings.js';

export type { Logger } from 'pino';

export const logSettings = {
  logLevel: setting(
    { name: 'LOG_LEVEL', summary: 'Lowest level that is logged', defaultText: 'info' },
    text.oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
  ),
};

/**
 * JSON lines on standard output, levels by name. Each line is bounded, and holds nothing that a client sent: see
 * log-fields.ts. `destination` is for tests.
 */
export function makeLogger(app: string, level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { app },
      timestamp: pino.stdTimeFunctions.isoTime,
      // log-fields.ts describes errors; pino's own serializer would add the message and stack as they are.
      serializers: { err: (err: unknown) => err },
      formatters: {
        level: (name) => ({ level: name }),
        log: loggedFields,
      },
      hooks: {
        logMethod(args, method) {
          const [first, message, ...rest] = args as unknown as [unknown, unknown, ...unknown[]];
          const bounded =
            typeof first === 'string'
              ? [cut(first), message, ...rest]
              : // Without a message pino would take the error's own.
                [first, typeof message === 'string' ? cut(message) : 'an error', ...rest];
          method.apply(this, bounded as Parameters<typeof method>);
        },
      },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** Nest's own messages through pino; its start-up chatter goes to debug. */
export function nestLogger(logger: Logger): LoggerService {
  const say =
    (level: 'debug' | 'warn' | 'error' | 'trace' | 'fatal') =>
    (message: unknown, ...rest: unknown[]) => {
      const context = rest.findLast((item) => typeof item === 'string' && !item.includes('\n'));
      const err = [message, ...rest].find((item) => item instanceof Error);
      const said = typeof message === 'string' ? plainText(message) : 'Nest reports an error';
      logger[level]({ context, err }, said);
    };
  return {
    log: say('debug'),
    warn: say('warn'),
    error: say('error'),
    debug: say('debug'),
    verbose: say('trace'),
    fatal: say('fatal'),
  };
}
