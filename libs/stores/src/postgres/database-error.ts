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
/** PostgreSQL: connection exceptions (08...), shutdown and start-up (57P0x), out of connections (53300). */
const STATE_CODES = /^(08...|57P0[1-5]|53300)$/;
/** node-postgres gives these no code; the last is TypeORM's, for the next query of a transaction whose connection broke. */
const MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Connection is closed|not queryable|Driver not Connected|query runner (?:was )?already released/i;

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
  if (STATE_CODES.test(code)) return true;
  // A file's ENOENT has a syscall such as `open`; only a socket's is ours.
  if (SOCKET_CODES.has(code) && (code !== 'ENOENT' || error.syscall === 'connect')) return true;
  return MESSAGES.test(thrown.message);
}

/** The same error, or dependency_unavailable where a service was away. */
export function asDependencyError(thrown: unknown): unknown {
  if (thrown instanceof AppError || !isAway(thrown)) return thrown;
  return new AppError('dependency_unavailable', { retryAfter_s: 2, cause: thrown });
}

/** Whether an insert or update broke the unique constraint or index of that name. */
export function isUniqueViolation(thrown: unknown, constraint: string): boolean {
  const outer = thrown as DriverError | null;
  const error = (outer?.driverError ?? outer) as DriverError | null;
  return error?.code === '23505' && error.constraint === constraint;
}
