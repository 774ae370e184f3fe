import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { StopError } from '../scripts/lib/stop-error.mjs';
import { RANK_SETS } from './models/generate.mjs';
import { SHAPE_NAMES, shapeOf } from './models/shapes.mjs';
import { POPULARITIES } from './serving/workload.mjs';

/** @typedef {import('./serving/workload.mjs').Popularity} Popularity */

export const SUITES = /** @type {const} */ ([
  'kernels',
  'steps',
  'device',
  'serving',
  'peers',
  'many',
  'guided',
  'speculation',
  'load',
  'quality',
]);
/** @typedef {(typeof SUITES)[number]} Suite */
const DEFAULT_SUITES = /** @type {Suite[]} */ (['kernels', 'serving', 'peers']);
const FORMATS = ['none', 'int8', 'int4', 'nf4'];
/** llama.cpp's format of about as many bits. */
const PEER_FORMATS = /** @type {const} */ ({ none: 'bf16', int8: 'q8_0', int4: 'q4_0', nf4: 'q4_0' });

/**
 * @typedef {object} BenchOptions
 * @property {readonly Suite[]} suites
 * @property {import('./models/shapes.mjs').Shape} shape
 * @property {string} format  QUANTIZATION of ours
 * @property {'bf16' | 'q8_0' | 'q4_0'} peerFormat
 * @property {string} ranks
 * @property {number} threads
 * @property {number} rounds
 * @property {number} secondsPerRate
 * @property {readonly Popularity[]} sweepPopularities
 * @property {{ count: number, promptTokens: number, newTokens: number }} wave
 * @property {boolean} quick
 * @property {string | undefined} python
 * @property {number} manyAdapters
 */

export const HELP = `npm run bench -- [options]

Measures Lorikeet and writes JSON, tables and charts under bench/results (bench/README.md says how to read them).

  --only SUITES     kernels, steps, device, serving, peers, many, guided, speculation, load, quality: one or several with commas (default ${DEFAULT_SUITES.join(',')})
  --shape NAME      ${SHAPE_NAMES.join(', ')} (default 160m; the reference figures use 1b)
  --format NAME     our QUANTIZATION: ${FORMATS.join(', ')} (default int4); the peer gets its format of as many bits
  --ranks SET       adapters: ${Object.keys(RANK_SETS).join(', ')} (default r16)
  --rounds N        interleaved rounds (default 3, quick 1)
  --seconds N       of each rate in the open loop (default 40, quick 8)
  --threads N       of ours and of the peer (default: all ${availableParallelism()} cores)
  --adapters N      of the suite "many" (default 1000)
  --quick           one small round of everything: does it run? Its figures count for nothing
  --help            this text

Environment: PYTHON names a Python with torch, transformers and peft for the second peer; without one it is left out.`;

/** @param {readonly string[]} argv @param {Readonly<Record<string, string | undefined>>} env @returns {BenchOptions | 'help'} */
export function readBenchOptions(argv, env) {
  const given = parse(argv);
  if (given.help) return 'help';
  const quick = given.quick ?? false;
  const suites = list(given.only, SUITES, '--only') ?? DEFAULT_SUITES;
  const format = /** @type {keyof typeof PEER_FORMATS} */ (
    list(given.format, FORMATS, '--format')?.[0] ?? 'int4'
  );
  const ranks = list(given.ranks, Object.keys(RANK_SETS), '--ranks')?.[0] ?? 'r16';
  const shapeName = list(given.shape, SHAPE_NAMES, '--shape')?.[0] ?? '160m';
  return {
    suites,
    shape: shapeOf(shapeName),
    format,
    peerFormat: PEER_FORMATS[format],
    ranks,
    threads: whole(given.threads, '--threads') ?? availableParallelism(),
    rounds: whole(given.rounds, '--rounds') ?? (quick ? 1 : 3),
    secondsPerRate: whole(given.seconds, '--seconds') ?? (quick ? 8 : 40),
    sweepPopularities: quick
      ? ['zipf']
      : POPULARITIES.filter((name) => ['none', 'zipf', 'distinct'].includes(name)),
    wave: quick
      ? { count: 4, promptTokens: 32, newTokens: 16 }
      : { count: 16, promptTokens: 128, newTokens: 64 },
    quick,
    python: env.PYTHON?.trim() || undefined,
    manyAdapters: whole(given.adapters, '--adapters') ?? (quick ? 20 : 1000),
  };
}

/** @param {readonly string[]} argv */
function parse(argv) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string' },
        shape: { type: 'string' },
        format: { type: 'string' },
        ranks: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        threads: { type: 'string' },
        adapters: { type: 'string' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new StopError(`${/** @type {Error} */ (error).message}\n\n${HELP}`);
  }
}

/**
 * @template {string} T
 * @param {string | undefined} text @param {readonly T[]} accepted @param {string} option
 * @returns {T[] | undefined}
 */
function list(text, accepted, option) {
  if (text === undefined) return undefined;
  return text.split(',').map((word) => {
    const found = accepted.find((one) => one === word.trim());
    if (found === undefined) throw new StopError(`${option}: expected ${accepted.join(', ')}, got "${word}"`);
    return found;
  });
}

/** @param {string | undefined} text @param {string} option */
function whole(text, option) {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new StopError(`${option}: expected a whole number from 1, got "${text}"`);
  return number;
}
