import { AppError } from '#runtime/app-error.js';

/** Node's codes for a peer that cannot be reached or hung up. */
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
  'ENOENT',
]);
/**
 * PostgreSQL: connection exceptions (08...), shutdown and start-up (57P0x), out of connections, disk, memory (53...),
 * a lock that is not given (55P03), a statement that took too long (57014), a deadlock or conflict (40001, 40P01), a
 * disk that fails (58030).
 */
const STATE_CODES = /^(08...|57P0[1-5]|53...|55P03|57014|40001|40P01|58030)$/;
/** A value that no text or jsonb of PostgreSQL can hold: U+0000, half a surrogate pair, bytes that are no UTF-8. */
const UNSTORABLE_CODES = /^(22021|22P05)$/;
/** A disk that is full, or a quota of the file system. */
const DISK_CODES = new Set(['ENOSPC', 'EDQUOT']);
/** node-postgres gives these no code; the last is TypeORM's, for the next query of a transaction whose connection broke. */
const MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Connection is closed|not queryable|Driver not Connected|query runner (?:was )?already released/i;

/** Of node-postgres: no connection of the pool came free, or a new one was not answered, in time. */
const SILENCES =
  /timeout exceeded when trying to connect|terminated due to connection timeout|timeout expired/i;
/** A statement that took too long. */
const CANCELLED = '57014';

interface DriverError {
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly message?: unknown;
  readonly driverError?: unknown;
  readonly errors?: unknown;
  readonly constraint?: unknown;
}

/** Whether an error means that a service is away, so that the same call may succeed once it is back. */
export function isAway(thrown: unknown): boolean {
  if (thrown instanceof AppError) return thrown.code === 'dependency_unavailable';
  if (!(thrown instanceof Error)) return false;
  const error: DriverError = thrown;
  if (error.driverError && error.driverError !== thrown && isAway(error.driverError)) return true;
  if (Array.isArray(error.errors) && error.errors.some(isAway)) return true; // AggregateError of a refused connect
  const code = typeof error.code === 'string' ? error.code : '';
  if (STATE_CODES.test(code) || DISK_CODES.has(code)) return true;
  // A file's ENOENT has a syscall such as `open`; only a socket's is ours.
  if (SOCKET_CODES.has(code) && (code !== 'ENOENT' || error.syscall === 'connect')) return true;
  return MESSAGES.test(thrown.message);
}

/** Whether an error says only that no answer came in time: a busy PostgreSQL, or a busy process, gives it as well. */
export function isSilence(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const { driverError, code }: DriverError = thrown;
  if (driverError && driverError !== thrown && isSilence(driverError)) return true;
  return code === CANCELLED || SILENCES.test(thrown.message);
}

/** The same error, or dependency_unavailable where a service or room is away, or invalid_request for text that it cannot hold. */
export function asDependencyError(thrown: unknown): unknown {
  if (thrown instanceof AppError) return thrown;
  if (isUnstorable(thrown))
    return new AppError('invalid_request', {
      message: 'The request holds text that cannot be stored: U+0000, or half a surrogate pair.',
      cause: thrown,
    });
  if (!isAway(thrown)) return thrown;
  return new AppError('dependency_unavailable', { retryAfter_s: 2, cause: thrown });
}

function isUnstorable(thrown: unknown): boolean {
  const outer = thrown as DriverError | null;
  const error = (outer?.driverError ?? outer) as DriverError | null;
  return typeof error?.code === 'string' && UNSTORABLE_CODES.test(error.code);
}

/** Whether an insert or update broke the unique constraint or index of that name. */
export function isUniqueViolation(thrown: unknown, constraint: string): boolean {
  const outer = thrown as DriverError | null;
  const error = (outer?.driverError ?? outer) as DriverError | null;
  return error?.code === '23505' && error.constraint === constraint;
}
