import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from './command.mjs';
import { makeDataDir, runningWhere } from './data-dir.mjs';
import { tryLock } from './file-lock.mjs';
import { readOptions } from './options.mjs';
import { inRepository } from './paths.mjs';
import { runningUrl, startPostgres } from './postgres.mjs';
import { readSecret } from './secret-file.mjs';
import { StopError } from './stop-error.mjs';

const HELP = /** @type {const} */ ({
  backup: `npm run backup -- FILE [options]

Writes database, adapters' files and secrets as they are at one moment to FILE, while Lorikeet runs or not.

  --no-blobs       leave out adapters' files (they are kept elsewhere, e.g. by the bucket's replication)
  --no-secrets     leave out the admin key and SECRETS_KEY
  --allow-damage   make a backup although files are lost or damaged, without them
  --check          only compare FILE, byte by byte, with its checksums`,
  restore: `npm run restore -- FILE [options]

Verifies FILE, then brings it into an empty database and into storage. Lorikeet must not run.

  --replace        delete what is in the database first`,
  'verify-storage': `npm run verify-storage

Reads every file that a version needs; names each that is lost or damaged, and the versions that use it.`,
});
const DATA_DIR_HELP = `
  --data-dir PATH  as for npm start (DATA_DIR, default ./data); DATABASE_URL and STORAGE_URL come first
  --help           this text`;

/** @typedef {keyof typeof HELP} Command */

/** @param {Command} command @param {readonly string[]} argv */
function parse(command, argv) {
  /** @type {Record<string, { type: 'boolean' | 'string' }>} */
  const own = {
    backup: {
      'no-blobs': { type: /** @type {const} */ ('boolean') },
      'no-secrets': { type: /** @type {const} */ ('boolean') },
      'allow-damage': { type: /** @type {const} */ ('boolean') },
      check: { type: /** @type {const} */ ('boolean') },
    },
    restore: { replace: { type: /** @type {const} */ ('boolean') } },
    'verify-storage': {},
  }[command];
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { ...own, 'data-dir': { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    const wanted = command === 'verify-storage' ? 0 : 1;
    if (values.help !== true && positionals.length !== wanted) throw new Error('Name one file.');
    return {
      values: /** @type {Record<string, string | boolean | undefined>} */ (values),
      file: positionals[0],
    };
  } catch (error) {
    throw new StopError(`${/** @type {Error} */ (error).message}\n\n${HELP[command]}${DATA_DIR_HELP}`);
  }
}

/**
 * The embedded database of a data folder, running already or started for as long as `work` lasts.
 * @param {string} dataDir
 * @param {{ mayRun: boolean }} rule  whether Lorikeet may run on it
 * @param {(url: string) => Promise<number>} work
 */
async function withEmbedded(dataDir, { mayRun }, work) {
  const directory = join(dataDir, 'postgres');
  const lock = tryLock(join(dataDir, '.lock'));
  if (!lock) {
    if (!mayRun) throw new StopError(`Lorikeet runs on ${dataDir}${runningWhere(dataDir)}. Stop it first.`);
    return work(runningUrl(directory));
  }
  try {
    const { child, url } = await startPostgres({ directory });
    try {
      return await work(url);
    } finally {
      await child.stop();
    }
  } finally {
    lock.release();
  }
}

/**
 * Runs one of the commands of apps/backup on the same database, storage and keys as `npm start` would use.
 * @param {Command} command
 * @param {readonly string[]} argv
 * @returns {Promise<number | string>} a text: print it
 */
export async function runBackupCommand(command, argv) {
  const { values, file } = parse(command, argv);
  const check = values.check === true;
  if (values.help) return `${HELP[command]}${DATA_DIR_HELP}`;
  const given = values['data-dir'] === undefined ? [] : ['--data-dir', String(values['data-dir'])];
  const options = readOptions(given, process.env);
  if (options === 'help') return HELP[command];
  const { dataDir, databaseUrl, adminKey } = options;
  // npm runs us in the package's folder; a path is meant from where the operator stands.
  const path = file === undefined ? [] : [resolve(process.env.INIT_CWD ?? '.', file)];
  const work = (/** @type {string} */ url) => {
    const env = {
      ...process.env,
      DATABASE_URL: url,
      STORAGE_URL: process.env.STORAGE_URL?.trim() || pathToFileURL(join(dataDir, 'artifacts')).href,
      ADMIN_API_KEY: adminKey ?? readSecret(join(dataDir, 'admin-key')) ?? '',
      SECRETS_KEY: process.env.SECRETS_KEY?.trim() || readSecret(join(dataDir, 'secrets-key')) || '',
    };
    return runMain([check ? 'check' : command, ...path, ...flags(command, values, dataDir)], env);
  };
  if (check) return work('postgresql://not/used');
  if (databaseUrl !== undefined) return work(databaseUrl);
  if (command === 'restore') makeDataDir(dataDir);
  else if (!existsSync(join(dataDir, 'postgres'))) throw new StopError(`There is no database in ${dataDir}.`);
  return withEmbedded(dataDir, { mayRun: command !== 'restore' }, work);
}

/** @param {Command} command @param {Record<string, unknown>} values @param {string} dataDir @returns {string[]} */
function flags(command, values, dataDir) {
  const set = Object.keys(values).filter((name) => values[name] === true && name !== 'check');
  const secrets = command === 'restore' ? ['--secrets-to', dataDir] : [];
  return values.check ? [] : [...set.map((name) => `--${name}`), ...secrets];
}

/** @param {readonly string[]} args @param {NodeJS.ProcessEnv} env @returns {Promise<number>} */
async function runMain(args, env) {
  const script = inRepository('dist', 'apps', 'backup', 'src', 'main.js');
  const { code } = await run(process.execPath, ['--enable-source-maps', script, ...args], {
    env,
    onOutput: (text) => process.stdout.write(text),
  });
  return code;
}
