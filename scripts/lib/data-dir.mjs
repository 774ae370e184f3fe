import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StopError } from './stop-error.mjs';

/** Makes DATA_DIR and what every start needs in it, or says why not. @param {string} dataDir */
export function makeDataDir(dataDir) {
  try {
    // Others may pass, as PostgreSQL's user has to, but see nothing.
    mkdirSync(dataDir, { recursive: true, mode: 0o711 });
    mkdirSync(join(dataDir, 'artifacts'), { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.W_OK);
  } catch (error) {
    throw new StopError(`DATA_DIR ${dataDir} cannot be written: ${/** @type {Error} */ (error).message}`);
  }
}

/** Who runs on it, for a message. @param {string} dataDir */
export function runningWhere(dataDir) {
  try {
    return ` (${readFileSync(join(dataDir, 'running'), 'utf8').trim()})`;
  } catch {
    return ''; // it is only just starting
  }
}
