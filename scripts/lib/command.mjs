import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * @typedef {object} CommandResult
 * @property {number} code  128 + signal number when a signal ended it, 127 when it could not be started
 * @property {string} output  standard output and error in the order they came
 */

/**
 * @typedef {object} CommandOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {(text: string) => void} [onOutput]  pieces of the output while they come
 * @property {boolean} [outliveUs]  for what must not be broken off; others get SIGTERM when this process dies
 */

/**
 * Runs a command to its end without standard input; never throws for a failed one.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {CommandOptions} [options]
 * @returns {Promise<CommandResult>}
 */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const [program, ...rest] = options.outliveUs
      ? [command, ...args]
      : ['setpriv', '--pdeathsig', 'TERM', '--', command, ...args];
    const child = spawn(/** @type {string} */ (program), rest, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const take = (/** @type {Buffer} */ chunk) => {
      output += chunk.toString();
      options.onOutput?.(chunk.toString());
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => resolve({ code: 127, output: `${output}${error.message}\n` }));
    child.on('close', (code, signal) => {
      if (signal) output += `ended by ${signal}\n`;
      resolve({ code: code ?? 128, output });
    });
  });
}

/**
 * Whether a short command succeeds; its output is of no interest.
 * @param {string} command
 * @param {readonly string[]} args
 */
export function succeeds(command, args) {
  return spawnSync(command, [...args], { stdio: 'ignore' }).status === 0;
}

/**
 * The full path of an executable on PATH.
 * @param {string} name
 * @param {string} [path]
 * @returns {string | undefined}
 */
export function findExecutable(name, path = process.env.PATH ?? '') {
  for (const folder of path.split(delimiter)) {
    if (folder === '') continue;
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      if (statSync(candidate).isFile()) return candidate;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/**
 * The last lines of a text, for an error message.
 * @param {string} text
 * @param {number} count
 */
export function lastLines(text, count) {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
