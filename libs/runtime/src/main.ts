import { setFlagsFromString } from 'node:v8';
import { SettingsError } from './settings.js';

// A young collection on several threads ends when its slowest has had a core. Where templates, uploads and the network's
// product hold them all, the event loop waits for that; alone it collects what a request leaves in about a millisecond.
setFlagsFromString('--no-parallel-scavenge');

/** Runs an app's `start` and says in one line why it could not; settings' faults are listed without a stack. */
export async function runMain(start: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    const text =
      error instanceof SettingsError
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    process.stderr.write(`${text}\n`);
    process.exit(1);
  }
}
