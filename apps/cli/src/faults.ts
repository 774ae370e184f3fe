/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {}

/** What the user reads when a command cannot do what it was told: exit code 1. */
export class CommandError extends Error {}

/** The server's own answer. */
export class ApiError extends CommandError {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | undefined,
  ) {
    super(message);
  }
}
