import { complain } from './print.mjs';
import { StopError } from './stop-error.mjs';

/**
 * Runs a command's main function; ends with exit code 1 and one clear text when it cannot go on.
 * @param {() => Promise<number | void>} main  its result is the exit code
 */
export async function runCommand(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (error instanceof StopError) complain(error.message);
    else complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}
