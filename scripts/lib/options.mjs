import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { StopError } from './stop-error.mjs';

/**
 * What the starter itself decides by; all other settings go to the servers as they stand in the environment.
 * @typedef {object} StartOptions
 * @property {number} port  0: a free one
 * @property {string} host
 * @property {string} dataDir  absolute
 * @property {string | undefined} modelPath  undefined: the bundled demo model
 * @property {boolean} demo
 * @property {boolean} allDevices  an engine for each CUDA device
 * @property {string | undefined} databaseUrl  undefined: embedded
 * @property {string | undefined} redisUrl
 * @property {string | undefined} adminKey
 * @property {import('./log-file.mjs').Rotation} logs  of each server's log under DATA_DIR/logs
 */

export const HELP = `npm start -- [options]

Starts Lorikeet: the API, a worker and an engine, with PostgreSQL and Redis of their own unless DATABASE_URL and
REDIS_URL name others. Installs and builds what is missing first. Ctrl-C stops everything.

  --port N         port of the API (PORT, default 8080; 0: any free one)
  --host ADDRESS   address to listen on (HOST, default 127.0.0.1)
  --data-dir PATH  where everything is stored (DATA_DIR, default ./data)
  --model PATH     a Hugging Face checkpoint folder or hf://org/repo (MODEL_PATH, default: the bundled demo model)
  --no-demo        do not register the demo tenant and its adapters (DEMO=false)
  --help           this text

In brackets: the environment variable that says the same. All other settings are environment variables too:
docs/settings.md.`;

const DEFAULT_PORT = 8080;
const DEFAULT_LOG_MB = 16;
const DEFAULT_LOG_FILES = 4;

/** Option and the variable that it stands for. */
const VARIABLE = /** @type {const} */ ({
  port: 'PORT',
  host: 'HOST',
  'data-dir': 'DATA_DIR',
  model: 'MODEL_PATH',
});

/** @param {readonly string[]} argv */
function parse(argv) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        'data-dir': { type: 'string' },
        model: { type: 'string' },
        'no-demo': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new StopError(`${/** @type {Error} */ (error).message}\n\n${HELP}`);
  }
}

/** @param {string | undefined} text @param {boolean} fallback @returns {boolean | undefined} undefined: neither */
function booleanOf(text, fallback) {
  if (text === undefined) return fallback;
  if (['true', '1', 'yes', 'on'].includes(text.toLowerCase())) return true;
  if (['false', '0', 'no', 'off'].includes(text.toLowerCase())) return false;
  return undefined;
}

/**
 * Options and environment as one; lists all faults at once.
 * @param {readonly string[]} argv
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {StartOptions | 'help'}
 */
export function readOptions(argv, env) {
  const given = parse(argv);
  if (given.help) return 'help';
  /** @type {string[]} */
  const faults = [];
  const variable = (/** @type {string} */ name) => env[name]?.trim() || undefined;
  const value = (/** @type {keyof typeof VARIABLE} */ option) => {
    const set = variable(VARIABLE[option]);
    const chosen = given[option];
    if (set !== undefined && chosen !== undefined && set !== chosen) {
      faults.push(`${VARIABLE[option]} is "${set}" and --${option} says "${chosen}": give one of them`);
    }
    return chosen ?? set;
  };
  const whole = (
    /** @type {string} */ name,
    /** @type {string | undefined} */ text,
    { least = 1, most = 0 },
  ) => {
    const number = Number(text);
    if (text === undefined) return undefined;
    if (Number.isInteger(number) && number >= least && number <= most) return number;
    faults.push(`${name}: expected a whole number from ${least} to ${most}, got "${text}"`);
    return undefined;
  };
  const port = whole('PORT', value('port'), { least: 0, most: 65_535 }) ?? DEFAULT_PORT;
  const megabytes = whole('LOG_FILE_MB', variable('LOG_FILE_MB'), { most: 10_000 });
  const files = whole('LOG_FILES', variable('LOG_FILES'), { most: 1_000 });
  const modelPath = value('model');
  const devices = variable('DEVICES');
  if (devices !== undefined && devices !== 'all') faults.push(`DEVICES: expected all, got "${devices}"`);
  if (devices !== undefined && !['auto', 'cuda'].includes(variable('DEVICE') ?? 'auto')) {
    faults.push(`DEVICES: with DEVICE=${variable('DEVICE')} there is one engine; leave one of them out`);
  }
  const demo = given['no-demo'] ? false : booleanOf(variable('DEMO'), modelPath === undefined);
  if (demo === undefined) faults.push(`DEMO: expected true or false, got "${env.DEMO}"`);
  const options = {
    port,
    host: value('host') ?? '127.0.0.1',
    dataDir: resolve(value('data-dir') ?? 'data'),
    modelPath: modelPath?.startsWith('hf://') ? modelPath : modelPath && resolve(modelPath),
    demo: demo ?? false,
    allDevices: devices === 'all',
    databaseUrl: variable('DATABASE_URL'),
    redisUrl: variable('REDIS_URL'),
    adminKey: variable('ADMIN_API_KEY'),
    logs: {
      maxBytes: (megabytes ?? DEFAULT_LOG_MB) * 2 ** 20,
      files: files ?? DEFAULT_LOG_FILES,
    },
  };
  if (options.demo && modelPath !== undefined) {
    faults.push(
      'DEMO: the demo adapters belong to the bundled model; with MODEL_PATH set, DEMO cannot be true',
    );
  }
  if (faults.length > 0) throw settingsFault(faults);
  return options;
}

/** In the words of the servers' own messages. @param {readonly string[]} faults */
export function settingsFault(faults) {
  const distinct = [...new Set(faults)];
  const count = distinct.length === 1 ? '1 setting is' : `${distinct.length} settings are`;
  return new StopError(`${count} not valid:\n  ${distinct.join('\n  ')}`);
}
