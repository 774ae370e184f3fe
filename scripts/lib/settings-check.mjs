import { pathToFileURL } from 'node:url';
import { settingsFault } from './options.mjs';
import { inRepository } from './paths.mjs';

/** Stand for what the starter sets only once the database and the engine run. */
const LATER = {
  DATABASE_URL: 'postgresql://later/later',
  ENGINE_TOKEN: 'later',
  ENGINE_URLS: 'http://127.0.0.1:1',
  ENGINE_PORT: '1',
};

/** @param {...string} path  below dist/ */
const load = (...path) => import(pathToFileURL(inRepository('dist', ...path)).href);

/**
 * Reads the settings as each server will, so that all faults are told at once and before anything has started.
 * @param {NodeJS.ProcessEnv} env
 */
export async function checkSettings(env) {
  const { parseSettings, SettingsError } = await load('libs', 'runtime', 'src', 'settings.js');
  /** @type {string[]} */
  const faults = [];
  for (const app of ['api', 'engine', 'worker']) {
    const settings = (await load('apps', app, 'src', 'settings.js'))[`${app}Settings`];
    try {
      parseSettings(settings, { ...LATER, ...env });
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      faults.push(.../** @type {{ faults: readonly string[] }} */ (error).faults);
    }
  }
  if (faults.length > 0) throw settingsFault(faults);
}
