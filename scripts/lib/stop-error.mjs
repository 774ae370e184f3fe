/** A reason to end that the person at the terminal can act on: printed without a stack, exit code 1. */
export class StopError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'StopError';
  }
}
