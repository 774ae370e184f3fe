import { isIP } from 'node:net';
import { ERROR_TABLE } from '#contracts/errors.js';
import { AppError } from './app-error.js';

/** Bounds of one log line: what is longer or deeper is cut, so that no caller decides how much we write. */
const LONGEST_TEXT = 300;
const LONGEST_PATH = 200;
const MOST_MEMBERS = 24;
const DEEPEST = 4;
const STACK_FRAMES = 10;
const MOST_CAUSES = 3;

/** Members that hold what somebody sent, or a secret, wherever they stand. */
const UNTOLD =
  /^(parameters|query|sql|body|prompt|messages|input|content|headers|authorization|x-api-key|key|secret|secrets|password|token)$/i;

/**
 * SQLSTATE classes whose messages name only what is ours (tables, columns, the server itself): connection,
 * transaction, resources, shutdown, system, internal, syntax. Class 22 repeats the value that was wrong, 23 tells it in
 * its detail.
 */
const OWN_SQL_MESSAGE = /^(08|25|40|42|53|54|55|57|58|XX)/;
const SQLSTATE = /^(?:\d[0-9A-Z]{4}|(?:XX|P0|F0|HV)[0-9A-Z]{3})$/;

/** Parsers whose messages repeat what they could not read. */
const REPEATS_INPUT = new Set([
  'SyntaxError',
  'URIError',
  'ZodError',
  'ZodRealError',
  'ImportError',
  'OutboundError',
]);

export interface LoggedError {
  readonly type: string;
  readonly code?: string;
  readonly message?: string;
  /** Where it was thrown; no message among it. */
  readonly stack?: readonly string[];
  readonly cause?: LoggedError;
  readonly [member: string]: unknown;
}

type Loose = Readonly<Record<string, unknown>>;

/** A line's fields as they may be written: errors described, long texts cut, secrets and senders' content left out. */
export function loggedFields(fields: object): Record<string, unknown> {
  return members(fields, 0);
}

/** What of an error helps an operator; never a value that somebody sent, nor a parameter of a statement. */
function describeError(error: unknown, causes = MOST_CAUSES): LoggedError {
  if (!(error instanceof Error)) return { type: error === null ? 'null' : typeof error };
  const loose = error as Error & Loose;
  const cause = loose.driverError ?? error.cause; // TypeORM wraps what the driver threw
  return {
    type: error.name.slice(0, 64),
    ...codeOf(loose),
    ...placeOf(loose),
    ...messageOf(loose),
    ...framesOf(error),
    ...(cause !== undefined && cause !== error && causes > 0
      ? { cause: describeError(cause, causes - 1) }
      : {}),
  };
}

/** A text of our own with nothing that it quotes, and no address but its origin. */
export function plainText(text: string): string {
  const hidden = text
    .replace(/\b([a-z][a-z0-9+.-]*):\/\/\S+/gi, '$1://…')
    // From the first quotation mark to the last: what is quoted may itself hold some.
    .replace(/(["'`]).*\1/s, '$1…$1')
    .replace(/[“‘].*[”’]/s, '…');
  return cut(hidden, LONGEST_TEXT);
}

/** Well-formed and at most `limit` UTF-16 units long. */
export function cut(text: string, limit = LONGEST_TEXT): string {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit).replace(/[\uD800-\uDBFF]$/, '')}… (${text.length})`;
}

function members(value: object, depth: number): Record<string, unknown> {
  const entries = Object.entries(value);
  const told = entries
    .slice(0, MOST_MEMBERS)
    .map(([name, member]) => [cut(name, 64), memberValue(name, member, depth + 1)]);
  if (entries.length > MOST_MEMBERS) told.push(['more', entries.length - MOST_MEMBERS]);
  return Object.fromEntries(told) as Record<string, unknown>;
}

function memberValue(name: string, value: unknown, depth: number): unknown {
  if (UNTOLD.test(name)) return '[left out]';
  return name === 'err' && value !== undefined ? describeError(value) : loggedValue(value, depth);
}

function loggedValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cut(value);
  if (value instanceof Error) return describeError(value);
  if (value instanceof Date) return value;
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEEPEST) return Array.isArray(value) ? `[${value.length} items]` : '[object]';
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (!Array.isArray(value)) return members(value, depth);
  const told: unknown[] = value.slice(0, MOST_MEMBERS).map((item) => loggedValue(item, depth + 1));
  if (value.length > MOST_MEMBERS) told.push(`${value.length - MOST_MEMBERS} more`);
  return told;
}

function codeOf({ code }: Loose): { code?: string } {
  return typeof code === 'string' || typeof code === 'number' ? { code: cut(String(code), 64) } : {};
}

/** What a system error, PostgreSQL or an HTTP client tells beside its message. */
function placeOf(error: Loose): Record<string, unknown> {
  const told: Record<string, unknown> = {};
  for (const name of ['syscall', 'constraint', 'table', 'column', 'routine', 'severity', 'fault']) {
    if (typeof error[name] === 'string') told[name] = cut(error[name], 64);
  }
  for (const name of ['errno', 'port', 'statusCode', 'status']) {
    if (typeof error[name] === 'number') told[name] = error[name];
  }
  if (typeof error.address === 'string' && isIP(error.address) > 0) told.address = error.address;
  if (typeof error.path === 'string' && error.syscall !== undefined)
    told.path = cut(error.path, LONGEST_PATH);
  return told;
}

function messageOf(error: Error & Loose): { message?: string } {
  // The message of an AppError is for who sent the request, and may say what it held.
  if (error instanceof AppError) return { message: ERROR_TABLE[error.code].text };
  if (REPEATS_INPUT.has(error.name)) return {};
  if (typeof error.syscall === 'string') return {}; // its code, address and path say all of it
  const { code, driverError } = error as { code?: unknown; driverError?: unknown };
  if (driverError !== undefined) return {}; // the cause says it
  if (typeof code === 'string' && SQLSTATE.test(code)) {
    return OWN_SQL_MESSAGE.test(code) ? { message: cut(error.message) } : {};
  }
  return error.message === '' ? {} : { message: plainText(error.message) };
}

function framesOf({ stack, message }: Error): { stack?: readonly string[] } {
  if (typeof stack !== 'string') return {};
  const after = message === '' ? 0 : stack.indexOf(message) + message.length;
  const frames = stack
    .slice(after)
    .split('\n')
    .filter((line) => /^ {4}at /.test(line))
    .slice(0, STACK_FRAMES)
    .map((line) => cut(line.slice(7), LONGEST_PATH));
  return frames.length === 0 ? {} : { stack: frames };
}
