import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AppError } from './app-error.js';
import { type Logger, makeLogger, nestLogger } from './logger.js';

const SECRET = 'xyzzy-plugh';

function logged(write: (logger: Logger) => void): { line: string; record: Record<string, unknown> } {
  let line = '';
  write(makeLogger('test', 'trace', { write: (text) => void (line += text) }));
  return { line, record: JSON.parse(line) as Record<string, unknown> };
}

/** What `JSON.parse` and others throw at a text that holds the secret. */
function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

const faulty = (message: string, fields: object): Error => Object.assign(new Error(message), fields);

describe('a log line', () => {
  it('names its level', () => {
    expect(logged((logger) => logger.warn('x')).record).toMatchObject({
      level: 'warn',
      msg: 'x',
      app: 'test',
    });
    expect(logged((logger) => nestLogger(logger).fatal?.('x')).record).toMatchObject({ level: 'fatal' });
  });

  it.each<[string, unknown]>([
    ['JSON that cannot be parsed', thrownBy(() => JSON.parse(`{"a": ${SECRET}, "b": 1}`))],
    ['a text that zod refuses', thrownBy(() => z.strictObject({}).parse({ [SECRET]: 1 }))],
    ['a URI that cannot be decoded', thrownBy(() => decodeURIComponent(`%${SECRET}`))],
    ['a URL that is none', thrownBy(() => new URL(`://${SECRET}`))],
    ['a message that quotes', new Error(`no "${SECRET}" among 'a' and 'b'`)],
    ['a message that quotes quotations', new Error(`bad: "a": ${SECRET}, "b"`)],
    ['a message with a URL', new Error(`could not fetch https://user:${SECRET}@host/${SECRET}?x=${SECRET}`)],
    ['our own error', new AppError('invalid_request', { message: `bad ${SECRET}`, param: SECRET })],
    [
      'a failed statement',
      faulty(`invalid input syntax for type uuid: ${SECRET}`, {
        name: 'QueryFailedError',
        query: `INSERT INTO x VALUES (${SECRET})`,
        parameters: [SECRET, { deep: SECRET }],
        driverError: faulty(`invalid input syntax for type uuid: ${SECRET}`, {
          code: '22P02',
          detail: `Key (name)=(${SECRET})`,
          where: `portal with parameters: $1 = ${SECRET}`,
          internalQuery: SECRET,
        }),
      }),
    ],
    [
      'a host without an address',
      faulty(`getaddrinfo ENOTFOUND ${SECRET}`, {
        code: 'ENOTFOUND',
        syscall: 'getaddrinfo',
        hostname: SECRET,
      }),
    ],
    ['what is no error', SECRET],
    ['an error with a cause', new Error('outer', { cause: new Error(`inner '${SECRET}'`) })],
    [
      'an error with further members',
      faulty('x', { command: { name: 'set', args: [SECRET] }, response: SECRET }),
    ],
  ])('holds nothing of what was sent in %s', (_, err) => {
    expect(logged((logger) => logger.error({ err }, 'failed')).line).not.toContain(SECRET);
    expect(logged((logger) => logger.error(err as Error)).line).not.toContain(
      err instanceof Error ? SECRET : ' ',
    );
    expect(logged((logger) => nestLogger(logger).error(err instanceof Error ? err : 'x')).line).not.toContain(
      SECRET,
    );
  });

  it('leaves out members that hold what was sent, however deep', () => {
    const fields = {
      body: SECRET,
      a: { prompt: SECRET, b: [{ headers: { x: SECRET } }] },
      parameters: [SECRET],
    };
    expect(logged((logger) => logger.info(fields, 'x')).line).not.toContain(SECRET);
  });

  it('still tells an operator what failed and where', () => {
    const statement = faulty('x', {
      name: 'QueryFailedError',
      driverError: faulty('relation "tenants" does not exist', { code: '42P01', routine: 'parserOpenTable' }),
    });
    const refused = faulty('connect ECONNREFUSED 127.0.0.1:5432', {
      code: 'ECONNREFUSED',
      syscall: 'connect',
      address: '127.0.0.1',
      port: 5432,
    });
    const disk = faulty("ENOSPC: no space left on device, write '/data/x'", {
      code: 'ENOSPC',
      syscall: 'write',
      path: '/data/x',
    });
    expect(logged((logger) => logger.error({ err: statement }, 'x')).record).toMatchObject({
      err: {
        type: 'QueryFailedError',
        cause: { code: '42P01', message: 'relation "tenants" does not exist' },
        stack: expect.arrayContaining([expect.stringContaining('logger.test.ts')]) as unknown,
      },
    });
    expect(logged((logger) => logger.error({ err: refused }, 'x')).record).toMatchObject({
      err: { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: 5432 },
    });
    expect(logged((logger) => logger.error({ err: disk }, 'x')).record).toMatchObject({
      err: { code: 'ENOSPC', path: '/data/x' },
    });
    const own = new Error('Redis did not answer within 5 ms');
    expect(logged((logger) => logger.error({ err: own }, 'x')).record).toMatchObject({
      err: { message: own.message },
    });
  });

  it('is bounded, whatever is handed to it', () => {
    const long = 'é'.repeat(1_000_000);
    const many = Array.from({ length: 100_000 }, (_, i) => long.slice(0, 500) + String(i));
    const wide = Object.fromEntries(many.map((text, i) => [`m${i}${long.slice(0, 1_000)}`, text]));
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const error = new Error(long, { cause: new Error(long, { cause: faulty(long, { code: long }) }) });
    error.name = long;
    const fields = { long, many, wide, circle, error, big: 10n ** 5000n, bytes: Buffer.alloc(1_000_000) };
    const { line } = logged((logger) => logger.error(fields, long));
    expect(Buffer.byteLength(line)).toBeLessThan(64 * 1024);
    expect(line.trimEnd()).not.toContain('\n');
  });
});
